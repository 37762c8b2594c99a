//! Runs a script of a service on the node, with the environment that docs/architecture.md ("A service is a folder") promises it.

use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::world::{World, assert_success};

/// Facts of the last `dump`, on the node.
const FACTS: &str = "/run/cloudtool-test-facts";

/// One share of an app in a service.
pub struct Share<'a> {
    pub world: &'a World,
    pub service: &'a str,
    pub app: &'a str,
    pub share: &'a str,
}

impl Share<'_> {
    /// Runs `script` with `input` as its standard input.
    pub fn run(&self, script: &str, input: &[u8]) -> Output {
        let Share { service, app, share, .. } = self;
        let environment = [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            "HOME=/root".to_owned(),
            "LANG=C.UTF-8".to_owned(),
            "PYTHONPATH=/usr/local/lib/cloudtool/common".to_owned(),
            format!("CLOUDTOOL_SERVICE={service}"),
            format!("CLOUDTOOL_SERVICE_SETTINGS=/run/cloudtool/services/{service}.json"),
            format!("CLOUDTOOL_SERVICE_NODE_SECRETS=/var/lib/cloudtool/secrets/_node/{service}"),
            format!("CLOUDTOOL_SERVICE_SECRETS=/var/lib/cloudtool/secrets/{app}/{service}"),
            format!("CLOUDTOOL_SERVICE_PASSWORD=/var/lib/cloudtool/secrets/{app}/{service}/password"),
            format!("CLOUDTOOL_SERVICE_PASSWORDS=/var/lib/cloudtool/secrets/{app}/{service}/password"),
            format!("CLOUDTOOL_LOGIN={app}"),
            format!("CLOUDTOOL_APP={app}"),
            format!("CLOUDTOOL_APP_USER=ct-{app}"),
            format!("CLOUDTOOL_APP_DATA=/srv/cloudtool/apps/{app}/data"),
            format!("CLOUDTOOL_SHARE={share}"),
            "CLOUDTOOL_PLATFORM=python".to_owned(),
            format!("CLOUDTOOL_FACTS={FACTS}"),
        ];
        let mut child = self
            .world
            .ssh()
            .args(["env", "-i"])
            .args(environment)
            .arg(format!("/usr/local/lib/cloudtool/services/{service}/{script}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ssh starts");
        // A script that fails early does not read all of it.
        let _ = child.stdin.take().expect("a pipe").write_all(input);
        child.wait_with_output().expect("ssh ends")
    }

    /// The same, expecting success; what it printed.
    pub fn ok(&self, script: &str, input: &[u8]) -> Vec<u8> {
        let output = self.run(script, input);
        assert_success(&output);
        output.stdout
    }

    /// The same, expecting failure; the first line of what it said.
    pub fn fails(&self, script: &str, input: &[u8]) -> String {
        let output = self.run(script, input);
        assert!(!output.status.success(), "{script} of {} did not fail", self.service);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let first = said.lines().next().unwrap_or_default();
        assert!(!first.is_empty() && !first.starts_with("Traceback"), "{said}");
        first.to_owned()
    }

    /// What `dump` prints, and the facts it wrote.
    pub fn dump(&self) -> (Vec<u8>, Value) {
        let dump = self.ok("dump", b"");
        (dump, serde_json::from_str(&self.world.node_says(["cat", FACTS])).expect("facts are JSON"))
    }

    pub fn count(&self) -> Value {
        serde_json::from_slice(&self.ok("count", b"")).expect("count prints JSON")
    }
}
