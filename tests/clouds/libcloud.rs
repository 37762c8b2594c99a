//! Apache Libcloud as a second client of a server: it must see what our driver sees.

use std::process::Command;

use cloudtool::providers::{NodeState, Provider};
use serde_json::{Value, json};

use crate::server::installed;

/// Compares the lists of both. `driver` is libcloud's name of it; `positional` and `named` are what its constructor is given.
pub fn sees_the_same(provider: &dyn Provider, driver: &str, positional: Value, named: Value) {
    let output = Command::new(installed("mimic/bin/python"))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clouds/servers/libcloud_lists.py"))
        .arg(driver)
        .arg(json!({"positional": positional, "named": named}).to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sorted = |mut items: Vec<Value>| {
        items.sort_by_key(ToString::to_string);
        items
    };
    let ours = [
        ("nodes", nodes(provider)),
        ("sizes", provider.sizes().unwrap().iter().map(|size| json!([size.id, size.name, size.memory_mb])).collect()),
        ("images", provider.images().unwrap().iter().map(|image| json!([image.id, image.name])).collect()),
    ];
    for (list, items) in ours {
        assert!(!items.is_empty(), "{list}");
        assert_eq!(sorted(items), sorted(theirs[list].as_array().unwrap().clone()), "{list}");
    }
}

fn nodes(provider: &dyn Provider) -> Vec<Value> {
    let word = |state| match state {
        NodeState::Error => "error",
        NodeState::Pending => "pending",
        NodeState::Running => "running",
        NodeState::Stopped => "stopped",
        other => panic!("the test has no word of libcloud's for {other}"),
    };
    provider.nodes().unwrap().iter().map(|node| json!([node.id, node.name, word(node.state)])).collect()
}
