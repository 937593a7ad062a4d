//! A graceful stop.

use crate::client::{Client, head};
use crate::world::{World, short};

#[tokio::test]
async fn requests_in_flight_are_finished() {
    let mut world = World::new().await;
    let mut busy = Client::to(&world).await;
    let mut idle = Client::to(&world).await;
    idle.assert_alive().await;
    busy.send(head("GET /b/Wait", &[])).await;
    world.until_waiting(1).await;
    world.stop();
    idle.assert_closed().await;
    world.open(1);
    assert_eq!(busy.answer().await.text(), "waited");
    busy.assert_closed().await;
    let address = world.address;
    assert_eq!(world.stopped().await.cut, 0);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_takes_too_long_is_cut() {
    let mut world = World::limited(short()).await;
    let mut busy = Client::to(&world).await;
    busy.send(head("GET /b/Wait", &[])).await;
    world.until_waiting(1).await;
    world.stop();
    busy.assert_closed().await;
    assert_eq!(world.stopped().await.cut, 1);
}
