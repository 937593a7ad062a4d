//! Secrets of connections: sealed, never shown, and sent nowhere but where they were given for.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use serde_json::{Value, json};
use world::World;

#[tokio::test]
async fn secrets_of_connections_are_sealed() {
    let world = World::new().await;
    let auth = json!({
        "ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "very-secret-key"},
        "InvocationHttpParameters": {"HeaderParameters": [{"Key": "X-S", "Value": "hidden-header-value", "IsValueSecret": true}, {"Key": "X-O", "Value": "open", "IsValueSecret": false}]},
    });
    let made = world
        .root("CreateConnection", json!({"Name": "c", "AuthorizationType": "API_KEY", "AuthParameters": auth}))
        .await;
    assert_eq!(made["ConnectionState"], "AUTHORIZED");
    let shown = world.root("DescribeConnection", json!({"Name": "c"})).await;
    assert_eq!(shown["AuthParameters"]["ApiKeyAuthParameters"], json!({"ApiKeyName": "X-Key"}));
    let headers = &shown["AuthParameters"]["InvocationHttpParameters"]["HeaderParameters"];
    assert_eq!((&headers[0]["Value"], &headers[1]["Value"]), (&Value::Null, &"open".into()));
    use millpond_meta::{Scan, View};
    use std::ops::Bound::Unbounded;
    let rows = world.kv.scan(Scan { from: Unbounded, to: Unbounded, reverse: false, limit: 10_000 }).await.unwrap();
    for secret in ["very-secret-key", "hidden-header-value"] {
        assert!(rows.iter().all(|(_, row)| !row.windows(secret.len()).any(|part| part == secret.as_bytes())));
    }
    let deauthorized = world.root("DeauthorizeConnection", json!({"Name": "c"})).await;
    assert_eq!(deauthorized["ConnectionState"], "DEAUTHORIZING");
    assert_eq!(world.root("DescribeConnection", json!({"Name": "c"})).await["ConnectionState"], "DEAUTHORIZED");
}

fn oauth(endpoint: &str) -> Value {
    json!({
        "ClientParameters": {"ClientID": "id", "ClientSecret": "very-secret-key"},
        "AuthorizationEndpoint": endpoint,
        "HttpMethod": "POST",
        "OAuthHttpParameters": {"HeaderParameters": [{"Key": "X-S", "Value": "hidden", "IsValueSecret": true}]},
    })
}

/// A secret that is kept is not sent to an endpoint that is named later.
#[tokio::test]
async fn kept_secrets_are_not_sent_elsewhere() {
    let (first, second) = ("https://one.example/token", "https://two.example/token");
    let secret = json!({"ClientSecret": "another"});
    let parameters = json!({"HeaderParameters": [{"Key": "X-S", "Value": "new", "IsValueSecret": true}]});
    let cases = [
        (json!({"AuthorizationEndpoint": second}), Some("ClientSecret")),
        (json!({"AuthorizationEndpoint": "https://one.example/other"}), Some("ClientSecret")),
        (json!({"AuthorizationEndpoint": second, "ClientParameters": {"ClientID": "x"}}), Some("ClientSecret")),
        (json!({"AuthorizationEndpoint": second, "OAuthHttpParameters": parameters}), Some("ClientSecret")),
        (json!({"AuthorizationEndpoint": second, "ClientParameters": secret}), Some("OAuthHttpParameters")),
        (json!({"AuthorizationEndpoint": second, "ClientParameters": secret, "OAuthHttpParameters": parameters}), None),
        (json!({"AuthorizationEndpoint": first, "HttpMethod": "PUT"}), None),
        (json!({"ClientParameters": secret}), None),
    ];
    for (update, missing) in cases {
        let world = World::new().await;
        let made = json!({"Name": "c", "AuthorizationType": "OAUTH_CLIENT_CREDENTIALS", "AuthParameters": {"OAuthParameters": oauth(first)}});
        world.root("CreateConnection", made).await;
        let asked = json!({"Name": "c", "AuthParameters": {"OAuthParameters": update}});
        match missing {
            None => drop(world.root("UpdateConnection", asked).await),
            Some(name) => {
                let (code, why) = world.refused("UpdateConnection", asked).await;
                assert_eq!(code, "ValidationException", "{update}");
                assert!(why.contains(name), "{update}: {why}");
                let shown = world.root("DescribeConnection", json!({"Name": "c"})).await;
                assert_eq!(shown["AuthParameters"]["OAuthParameters"]["AuthorizationEndpoint"], first);
            }
        }
    }
    // Nor by way of another type of authorization.
    let world = World::new().await;
    let made = json!({"Name": "c", "AuthorizationType": "BASIC", "AuthParameters": {"BasicAuthParameters": {"Username": "u", "Password": "p"}}});
    world.root("CreateConnection", made).await;
    let without =
        json!({"AuthorizationEndpoint": second, "HttpMethod": "POST", "ClientParameters": {"ClientID": "id"}});
    let asked = json!({"Name": "c", "AuthorizationType": "OAUTH_CLIENT_CREDENTIALS", "AuthParameters": {"OAuthParameters": without}});
    assert_eq!(world.refused("UpdateConnection", asked).await.0, "ValidationException");
}
