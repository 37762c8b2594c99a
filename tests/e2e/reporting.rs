//! A file that says why an app failed, and nothing that must not leave the node.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::Test;
use crate::whole::remove;
use crate::world::{App, World, assert_success, both, node};

pub const TESTS: &[Test] = &[
    ("a_report_has_the_reason_and_no_secret", a_report_has_the_reason_and_no_secret),
    ("a_first_release_that_failed_is_reported", a_first_release_that_failed_is_reported),
];

const APP: &str = "reported";
const TOKEN: &str = "env-sentinel-5ecad0";
const SETTING: &str = "p4ss/w\"rd ü\\\nsentinel line two";

/// Prints all that it knows, in every way, when it is loaded.
const TALKATIVE: &str = "import json, os, sys
from urllib.parse import quote

for name, value in os.environ.items():
    print(name, value, repr(value), json.dumps(value), quote(value, safe=''), file=sys.stderr)
print(open(os.environ['CLOUDTOOL_SECRET_FILE']).read(), file=sys.stderr)
print('loaded in good order', file=sys.stderr)
";

const SERVICE: &str = "[service]
description = A password and nothing else.
backup = nothing to back up
[variables]
VAULT_PASSWORD = The password.
VAULT_URL = With the password in it.
[secrets]
names = VAULT_PASSWORD, VAULT_URL
";

const PROVISION: &str = "#!/bin/sh
read -r password <\"$CLOUDTOOL_SERVICE_PASSWORD\"
echo \"VAULT_PASSWORD=$password\"
echo \"VAULT_URL=vault://me:$password@vault.test/\"
";

fn a_report_has_the_reason_and_no_secret(world: &World) {
    let folder = world.home.path().join("services/vault");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("service.ini"), SERVICE).expect("a file");
    fs::write(folder.join("provision"), PROVISION).expect("a file");
    let source = format!("{TALKATIVE}{}", crate::world::hello_source("well"));
    let ini = format!("runner = app.py\nservice.vault =\n[env]\nTOKEN = {TOKEN}\n");
    let app = App::new(APP, &ini).file("app.py", &source);
    world.ok(["update", app.path_str(), "--host", "reported.test"]);
    let file = world.home.path().join("setting");
    fs::write(&file, SETTING).expect("a file");
    world.ok(["config", APP, "set", "API_KEY", &format!("file:{}", file.display())]);
    app.write(
        "app.py",
        format!("{source}\nraise SystemError(os.environ['API_KEY'] + os.environ['VAULT_URL'])\n").as_bytes(),
    );
    app.write("new.txt", b"new");
    let said = world.fails(7, ["update", app.path_str(), "--node", node()]);
    assert!(said.contains(&format!("cloudtool report {APP} --node {}", node())), "{said}");

    let report = world.ok(["report", "reported.test", "-n", "400", "--output", "-"]);
    let password = world.node_script(&format!("cat /var/lib/cloudtool/secrets/{APP}/vault/password"));
    let stable = world.node_script(&format!("cat /etc/cloudtool/apps/{APP}/secret"));
    for secret in [TOKEN, "p4ss", "sentinel", &password, &stable] {
        assert!(!secret.is_empty() && !report.contains(secret), "{secret} is in {report}");
        assert!(!said.contains(secret) || secret == TOKEN, "{secret} is in {said}");
    }
    for wanted in [
        "failed at the step health (health-check):",
        "v3 of reported does not serve.",
        "v2 served after it.",
        "status: 500",
        "## What changed since v2\n\n    added new.txt\n    changed app.py\n",
        "SystemError: ***",
        "loaded in good order",
        "    disk: ",
        "    memory: ",
        "    clock against ours: ",
        "v2 live ",
        "Python 3.",
        "failed update reported by tester@",
        "vault tried",
    ] {
        assert!(report.contains(wanted), "{wanted:?} is not in {report}");
    }

    // Into a file of its own, which only its owner reads.
    let output = world.command(["report", APP, "--json"]).current_dir(app.path()).output().expect("it starts");
    assert_success(&output);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let name = told["file"].as_str().expect("a name");
    assert!(name.starts_with("cloudtool-report-reported-2") && name.ends_with("Z.md"), "{name}");
    let made = fs::metadata(app.path().join(name)).expect("the file");
    assert!(made.len() > 3000 && made.permissions().mode() & 0o777 == 0o600);

    let unreached = world.ok(["report", APP, "--node", "127.0.0.1:1", "--output", "-"]);
    assert!(unreached.contains("## The node did not answer\n\n127.0.0.1:1 cannot be reached"), "{unreached}");
    assert!(unreached.contains("this machine: ") && !unreached.contains("sentinel"), "{unreached}");
    remove(world, APP);
    fs::remove_dir_all(&folder).expect("the folder goes");
}

fn a_first_release_that_failed_is_reported(world: &World) {
    let app = App::hello("still-born", "").file("app.py", "raise ValueError('never loaded')\n");
    let output = world.cloudtool(["update", app.path_str(), "--host", "still-born.test"]);
    assert!(both(&output).contains("in one file: cloudtool report still-born"), "{}", both(&output));
    let report = world.ok(["report", "still-born", "--output", "-"]);
    assert!(report.contains("Nothing served after it.") && report.contains("ValueError: never loaded"), "{report}");
    assert!(world.fails(2, ["report", "never-born"]).contains("has no app never-born"));
    remove(world, "still-born");
}
