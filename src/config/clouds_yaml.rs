//! Reading the clouds of others: Cloudmesh's YAML and OpenStack's `clouds.yaml`. Pure.

use serde_yaml_ng::{Mapping, Value};

/// What a file says about clouds, in its order.
#[derive(Debug, Default, PartialEq)]
pub struct Imported {
    pub clouds: Vec<Cloud>,
    /// The cloud that is to be taken when none is named.
    pub default: Option<String>,
    /// What could not be taken over, as sentences. No secret is in them.
    pub left_out: Vec<String>,
}

/// One cloud as a section of our configuration. Values may be secrets.
#[derive(PartialEq)]
pub struct Cloud {
    pub name: String,
    pub settings: Vec<(String, String)>,
}

impl std::fmt::Debug for Cloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cloud").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Reads the text of such a file.
///
/// Errors: a sentence, when it is no YAML or has no clouds.
pub fn read(text: &str) -> Result<Imported, String> {
    let value: Value = serde_yaml_ng::from_str(text).map_err(|error| {
        // Only where: the sentence itself may quote a secret.
        let place = error.location().map(|place| format!(", see line {}", place.line())).unwrap_or_default();
        format!("it is no YAML{place}")
    })?;
    let clouds = value.get("clouds").and_then(Value::as_mapping).ok_or("it has no `clouds:`")?;
    let mut imported = Imported { default: default_cloud(&value), ..Imported::default() };
    for (name, cloud) in clouds {
        let Some(name) = text_of(name) else { continue };
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        match cloud.as_mapping() {
            _ if !is_name => {
                imported.left_out.push(format!("{name:?}: a section is named by letters, digits, '-', '_' and '.'"))
            }
            Some(cloud) => match settings(cloud) {
                Ok(settings) => imported.clouds.push(Cloud { name, settings }),
                Err(reason) => imported.left_out.push(format!("{name}: {reason}")),
            },
            None => imported.left_out.push(format!("{name}: there is nothing in it")),
        }
    }
    if let Some(default) = &imported.default
        && !imported.clouds.iter().any(|cloud| cloud.name == *default)
    {
        imported.left_out.push(format!("the default {default}: there is no such cloud in the file"));
        imported.default = None;
    }
    Ok(imported)
}

/// Cloudmesh's default, the first of a list.
fn default_cloud(value: &Value) -> Option<String> {
    let default = value.get("cloudmesh")?.get("default")?;
    match default {
        Value::Sequence(list) => text_of(list.first()?),
        one => text_of(one),
    }
}

fn settings(cloud: &Mapping) -> Result<Vec<(String, String)>, String> {
    match (cloud.get("credentials").and_then(Value::as_mapping), cloud.get("auth").and_then(Value::as_mapping)) {
        (Some(credentials), _) => of_cloudmesh(cloud, credentials),
        (None, Some(auth)) => of_openstack(cloud, auth),
        (None, None) => Err("it has neither `credentials:` (Cloudmesh) nor `auth:` (OpenStack)".into()),
    }
}

fn of_cloudmesh(cloud: &Mapping, credentials: &Mapping) -> Result<Vec<(String, String)>, String> {
    let kind = cloud.get("type").and_then(text_of).unwrap_or_else(|| "openstack".into());
    if kind != "openstack" {
        return Err(format!("it is of type {kind}; `cloudtool configure` sets it up"));
    }
    let default = cloud.get("default").and_then(Value::as_mapping);
    let of_default = |key: &str| default.and_then(|default| default.get(key)).and_then(text_of);
    Ok(collect(&[
        ("endpoint", first(credentials, &["OS_AUTH_URL"])),
        ("username", first(credentials, &["OS_USERNAME"])),
        ("secret", first(credentials, &["OS_PASSWORD"])),
        ("project", first(credentials, &["OS_PROJECT_NAME", "OS_TENANT_NAME"])),
        ("project_id", first(credentials, &["OS_PROJECT_ID", "OS_TENANT_ID"])),
        (
            "domain",
            first(
                credentials,
                &["OS_USER_DOMAIN_NAME", "OS_PROJECT_DOMAIN_NAME", "OS_USER_DOMAIN_ID", "OS_PROJECT_DOMAIN_ID"],
            ),
        ),
        ("region", first(credentials, &["OS_REGION_NAME"])),
        ("size", of_default("flavor")),
        ("image", of_default("image")),
    ]))
}

fn of_openstack(cloud: &Mapping, auth: &Mapping) -> Result<Vec<(String, String)>, String> {
    let application = first(auth, &["application_credential_id"]);
    let own = if application.is_some() {
        vec![("application_credential", application), ("secret", first(auth, &["application_credential_secret"]))]
    } else {
        if first(auth, &["application_credential_name"]).is_some() {
            return Err("its application credential is by name: its id is needed".into());
        }
        if first(auth, &["username"]).is_none() && first(auth, &["user_id"]).is_some() {
            return Err("its user is by id: the name is needed".into());
        }
        vec![
            ("username", first(auth, &["username"])),
            ("secret", first(auth, &["password"])),
            ("project", first(auth, &["project_name", "tenant_name"])),
            ("project_id", first(auth, &["project_id", "tenant_id"])),
            (
                "domain",
                first(auth, &["user_domain_name", "project_domain_name", "user_domain_id", "project_domain_id"]),
            ),
        ]
    };
    let common = [("endpoint", first(auth, &["auth_url"])), ("region", first(cloud, &["region_name"]))];
    Ok(collect(&[&common[..1], &own[..], &common[1..]].concat()))
}

/// The first of these keys that says something.
fn first(mapping: &Mapping, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| mapping.get(*key).and_then(text_of))
}

fn collect(settings: &[(&str, Option<String>)]) -> Vec<(String, String)> {
    // The id says the same once more.
    let has_project = settings.iter().any(|(key, value)| *key == "project" && value.is_some());
    let wanted = settings.iter().filter(|(key, _)| *key != "project_id" || !has_project);
    let set = wanted.filter_map(|(key, value)| Some(((*key).to_owned(), value.clone()?)));
    std::iter::once(("provider".to_owned(), "openstack".to_owned())).chain(set).collect()
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file of Cloudmesh's own draft.
    pub const CLOUDMESH: &str = include_str!("../../tests/cloudmesh.yaml");

    fn lines(imported: &Imported) -> String {
        let clouds = imported.clouds.iter().map(|cloud| {
            let settings = cloud.settings.iter().map(|(key, value)| format!("{key} = {value}\n"));
            format!("[{}]\n{}", cloud.name, settings.collect::<String>())
        });
        clouds.collect::<String>()
    }

    #[test]
    fn cloudmeshs_clouds_keep_their_order() {
        let imported = read(CLOUDMESH).unwrap();
        insta::assert_snapshot!(lines(&imported), @"
        [uc]
        provider = openstack
        endpoint = https://openstack.uc.chameleoncloud.org:5000/v3
        username = TBD
        secret = TBD
        project = CH-818664
        domain = default
        region = RegionOne
        size = m1.small
        image = Ubuntu-Server-14.04-LTS
        [tacc]
        provider = openstack
        endpoint = https://openstack.tacc.chameleoncloud.org:5000/v3
        username = TBD
        secret = TBD
        project = CH-818664
        domain = default
        region = RegionOne
        size = m1.small
        image = Ubuntu-Server-14.04-LTS
        ");
        assert_eq!(imported.left_out, ["the default chameleon: there is no such cloud in the file"]);
    }

    #[test]
    fn openstacks_clouds_are_read() {
        let imported = read(
            "clouds:\n  z-first:\n    auth: {auth_url: https://k/v3, username: me, password: 12345, project_name: p, project_id: 0, user_domain_name: Default}\n    region_name: R\n  \
             app:\n    auth: {auth_url: https://k, application_credential_id: abc, application_credential_secret: s}\n  by name:\n    auth: {}\n  \
             named:\n    auth: {application_credential_name: x}\n  empty:\n  az: {credentials: {A: b}, type: azure}\n  \
             id: {auth: {auth_url: https://k, username: me, password: x, project_id: a1}}\n  user: {auth: {user_id: x}}\n",
        )
        .unwrap();
        insta::assert_snapshot!(lines(&imported), @"
        [z-first]
        provider = openstack
        endpoint = https://k/v3
        username = me
        secret = 12345
        project = p
        domain = Default
        region = R
        [app]
        provider = openstack
        endpoint = https://k
        application_credential = abc
        secret = s
        [id]
        provider = openstack
        endpoint = https://k
        username = me
        secret = x
        project_id = a1
        ");
        assert_eq!(imported.left_out.len(), 5, "{:?}", imported.left_out);
        assert_eq!(imported.left_out[4], "user: its user is by id: the name is needed");
    }

    #[test]
    fn what_is_no_such_file_is_said_without_its_words() {
        for (text, told) in [
            ("clouds: [hunter2", "it is no YAML, see line "),
            ("a: hunter2", "it has no `clouds:`"),
            ("clouds: hunter2", "it has no"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(told) && !error.contains("hunter2"), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(?s).{0,80}|clouds:\n  a:( \\{auth: \\{[a-z_]{0,8}: [a-z]{0,3}\\}\\}|[ \n].{0,20})") {
            let _ = read(&text);
        }
    }
}
