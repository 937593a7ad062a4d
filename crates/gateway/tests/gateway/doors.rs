//! Doors: who comes by one is served, believed nothing, and is no operator.

use tokio::net::TcpStream;

use crate::client::Client;
use crate::world::World;

#[tokio::test]
async fn who_comes_by_a_door_is_served_and_is_no_operator() {
    let world = World::with(|config| config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()]).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let door = world.doors.open(listener).unwrap();
    let mut client = Client::over(TcpStream::connect(address).await.unwrap());
    assert_eq!(client.get("/bucket/Hello").await.text(), "hello");
    client.get("/_millpond/metrics").await.assert_error(403, "AccessDenied");
    assert_eq!(Client::to(&world).await.get("/_millpond/metrics").await.status, 200);
    drop(door);
    // What came in is served to its end, and nobody comes in any more.
    assert_eq!(client.get("/bucket/Hello").await.text(), "hello");
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let stopped = world.stopped().await;
    assert_eq!(stopped.cut, 0);
}
