//! What a new machine is told by cloud-init: whom to let in, and which host key to be known by.

use serde_json::{Value, json};

use super::node::CreateRequest;

/// The user-data for a wish: its own, or else `#cloud-config` with the authorized keys for root and the host key.
///
/// JSON is YAML, so nothing in a key or a name can become another setting.
pub fn user_data(request: &CreateRequest) -> String {
    if let Some(own) = &request.user_data {
        return own.clone();
    }
    let mut config = json!({
        "disable_root": false,
        "ssh_pwauth": false,
        // For the image's own user; the list below is for root, whom some images lock.
        "ssh_authorized_keys": request.authorized_keys,
        "users": ["default", {"name": "root", "lock_passwd": true, "ssh_authorized_keys": request.authorized_keys}],
    });
    if let Some(pair) = &request.host_key {
        config["ssh_deletekeys"] = json!(true);
        config["ssh_keys"] = json!({"ed25519_private": pair.private.expose(), "ed25519_public": pair.public});
        config["ssh_genkeytypes"] = Value::Array(vec![]);
    }
    format!("#cloud-config\n{config:#}\n")
}

#[cfg(test)]
mod tests {
    use super::super::node::HostKeyPair;
    use super::*;
    use crate::names::Secret;

    fn request() -> CreateRequest {
        CreateRequest {
            name: "web".parse().unwrap(),
            image: "i".into(),
            size: "s".into(),
            location: None,
            authorized_keys: vec!["ssh-ed25519 AAAA me: \"x\"".into()],
            host_key: Some(HostKeyPair { public: "ssh-ed25519 BBBB".into(), private: Secret::new("-----BEGIN\nx\n") }),
            user_data: None,
        }
    }

    #[test]
    fn keys_are_told() {
        let text = user_data(&request());
        let config: Value = serde_json::from_str(text.strip_prefix("#cloud-config\n").unwrap()).unwrap();
        assert_eq!(config["ssh_authorized_keys"][0], "ssh-ed25519 AAAA me: \"x\"");
        assert_eq!(config["ssh_keys"]["ed25519_private"], "-----BEGIN\nx\n");
        assert_eq!(config["ssh_keys"]["ed25519_public"], "ssh-ed25519 BBBB");
    }

    #[test]
    fn the_users_own_user_data_is_left_alone() {
        let request = CreateRequest { user_data: Some("#!/bin/sh\n".into()), ..request() };
        assert_eq!(user_data(&request), "#!/bin/sh\n");
    }
}
