//! The node all tests share, and how they reach it.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use tempfile::TempDir;

use crate::http::request;

/// A set-up local node with a configuration of its own; destroyed when dropped.
pub struct World {
    /// Home, configuration and inventory of the "user".
    pub home: TempDir,
    pub address: String,
    /// The loopback port that leads to the node's port 80.
    pub forwarded_port: u16,
    /// The address of another node, made when a test first asks for it.
    second: OnceLock<String>,
    /// The names of all nodes, to be destroyed.
    nodes: Mutex<Vec<String>>,
}

/// What the node of this run is called: both parts may run at once.
pub fn node() -> &'static str {
    match part().as_deref() {
        Some("data") => "e2e-data",
        Some("living") => "e2e-living",
        _ => "e2e",
    }
}

fn second_name() -> String {
    format!("{}-second", node())
}

/// `CLOUDTOOL_E2E_PART`: `data` runs the tests about services and their data, `living` those about what comes after a deploy
/// (commands, logs, processes, sleep, certificates, ...), `apps` all others; nothing runs all.
pub fn part() -> Option<String> {
    std::env::var("CLOUDTOOL_E2E_PART").ok()
}

/// Why the tests cannot run here, if they cannot.
pub fn what_is_missing() -> Option<String> {
    let output = Command::new("id").arg("-u").output().ok()?;
    if output.stdout == b"0\n" { None } else { Some("they boot system containers, which needs root".to_owned()) }
}

/// What the node is made of; `CLOUDTOOL_E2E_IMAGE=debian-13` runs all of it on another release.
pub fn image() -> String {
    std::env::var("CLOUDTOOL_E2E_IMAGE").unwrap_or_else(|_| "debian-12".to_owned())
}

impl World {
    /// Creates the node and sets it up.
    pub fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary home");
        fs::write(home.path().join("cloudtool.ini"), "").expect("an empty configuration");
        Self::share_images().expect("a place for images");
        let mut world =
            World { home, address: String::new(), forwarded_port: 0, second: OnceLock::new(), nodes: Mutex::default() };
        let node = world.create_node(node(), &image());
        world.address = address_of(&node);
        world.forwarded_port = node["forwarded_port"].as_u64().expect("it has a forwarded port") as u16;
        world
    }

    /// Makes a node and sets it up; what was told of it.
    pub fn create_node(&self, name: &str, image: &str) -> serde_json::Value {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
        let _ = self.cloudtool(["destroy-node", name, "--if-exists", "-y"]);
        let output = self.cloudtool(["create-node", name, "--image", image, "--setup-node", "--json"]);
        assert_success(&output);
        json_lines(&output).into_iter().find(|line| line["event"] == "node").expect("the node is told")
    }

    /// The address of another node, which all tests share that need one.
    pub fn second(&self) -> &str {
        self.second.get_or_init(|| address_of(&self.create_node(&second_name(), &image())))
    }

    /// What it is called; it is there when this returns.
    pub fn second_name(&self) -> String {
        self.second();
        second_name()
    }

    /// Where local nodes of the tests live. Their images are kept, for all tests and the next run.
    pub fn local_dir() -> PathBuf {
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("local")
    }

    fn share_images() -> std::io::Result<()> {
        let shared = Path::new("/var/cache/cloudtool-tests/images");
        fs::create_dir_all(shared)?;
        fs::create_dir_all(Self::local_dir())?;
        let link = Self::local_dir().join("images");
        match std::os::unix::fs::symlink(shared, link) {
            // The other half of the tests may have made it just now.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }

    /// The binary under test, with an environment that holds nothing of the person who runs the tests.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloudtool"));
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.home.path())
            .env("USER", "tester")
            .env("CLOUDTOOL_DATA_DIR", self.home.path().join("data"))
            .env("CLOUDTOOL_CONFIG", self.home.path().join("cloudtool.ini"))
            .env("CLOUDTOOL_LOCAL_DIR", Self::local_dir())
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end.
    pub fn cloudtool<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        self.command(args).output().expect("the binary starts")
    }

    /// Runs it and expects success; its standard output.
    pub fn ok<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        let output = self.cloudtool(args);
        assert_success(&output);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs it and expects this exit code; standard output and error together.
    pub fn fails<S: AsRef<OsStr>>(&self, code: i32, args: impl IntoIterator<Item = S>) -> String {
        let output = self.cloudtool(args);
        assert_eq!(output.status.code(), Some(code), "{}", both(&output));
        both(&output)
    }

    /// Runs a program on the node as root, over the system's own ssh.
    pub fn on_node<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Output {
        self.ssh().args(words).output().expect("ssh starts")
    }

    /// The same, expecting success; what it printed, trimmed.
    pub fn node_says<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> String {
        let output = self.on_node(words);
        assert_success(&output);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Runs a script of ours on the node with `sh`, as root.
    pub fn node_script(&self, script: &str) -> String {
        Self::script(self.ssh(), script)
    }

    /// The same over any ssh.
    pub fn script(mut ssh: Command, script: &str) -> String {
        let mut child = ssh
            .args(["sh", "-eu"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ssh");
        child.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("the script is written");
        let output = child.wait_with_output().expect("ssh ends");
        assert_success(&output);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Has the app of `host` run `code` and gives back what it printed: see [`App::obeying`] and [`App::obeying_php`].
    pub fn inside(&self, host: &str, code: &str) -> String {
        Self::inside_at(&self.address, host, code)
    }

    /// The same of an app on any node.
    pub fn inside_at(address: &str, host: &str, code: &str) -> String {
        let answer = request(address, "POST", host, "/", "Content-Type: text/plain\r\n", code.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body.trim().to_owned()
    }

    pub fn ssh(&self) -> Command {
        self.ssh_to("root", &self.address)
    }

    /// The system's own ssh to any node of the tests; what is to run there follows.
    pub fn ssh_to(&self, user: &str, address: &str) -> Command {
        let data = self.home.path().join("data");
        let mut command = Command::new("ssh");
        command
            .arg("-F/dev/null")
            .arg("-i")
            .arg(data.join("id_ed25519"))
            .arg("-oStrictHostKeyChecking=yes")
            .arg(format!("-oUserKnownHostsFile={}", data.join("known_hosts").display()))
            .arg("-oBatchMode=yes")
            .arg(format!("{user}@{address}"))
            .stdin(Stdio::null());
        command
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for name in self.nodes.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let output = self.cloudtool(["destroy-node", name, "--if-exists", "-y"]);
            if !output.status.success() {
                eprintln!("{name} could not be destroyed: {}", both(&output));
            }
        }
    }
}

/// Of what [`World::create_node`] gives.
pub fn address_of(node: &serde_json::Value) -> String {
    node["private_ips"][0].as_str().expect("it has an address").to_owned()
}

/// A directory with an app in it.
pub struct App {
    pub dir: TempDir,
    pub name: String,
}

impl App {
    /// An app whose `app.ini` has these lines below `app_name`.
    pub fn new(name: &str, ini: &str) -> Self {
        let app = App { dir: tempfile::tempdir().expect("a temporary directory"), name: name.to_owned() };
        app.ini(ini)
    }

    /// A WSGI app that runs the Python code that is posted to it and answers with what that prints. `ini` is more of its app.ini.
    pub fn obeying(name: &str, ini: &str) -> Self {
        Self::new(name, &format!("runner = app.py\n{ini}")).file("app.py", OBEYING)
    }

    /// The same in PHP.
    pub fn obeying_php(name: &str, ini: &str) -> Self {
        let source = "<?php eval(file_get_contents('php://input'));\n";
        Self::new(name, &format!("runner = index.php\n{ini}")).file("index.php", source)
    }

    /// A copy of `examples/NAME`, to be changed.
    pub fn example(name: &str) -> Self {
        let app = App { dir: tempfile::tempdir().expect("a temporary directory"), name: name.to_owned() };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        let copied = Command::new("cp").arg("-a").arg(source.join(".")).arg(app.path()).status();
        assert!(copied.expect("cp starts").success());
        app
    }

    /// A WSGI app that answers every request with `answer`.
    pub fn hello(name: &str, answer: &str) -> Self {
        Self::new(name, "runner = app.py\n").file("app.py", &hello_source(answer))
    }

    pub fn ini(self, ini: &str) -> Self {
        let text = format!("[production]\napp_name = {}\n{ini}", self.name);
        self.file("app.ini", &text)
    }

    /// Writes a file, making its directories.
    pub fn file(self, path: &str, content: &str) -> Self {
        self.write(path, content.as_bytes());
        self
    }

    pub fn write(&self, path: &str, content: &[u8]) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("its directories");
        fs::write(path, content).expect("the file");
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn path_str(&self) -> &str {
        self.dir.path().to_str().expect("a temporary path is UTF-8")
    }
}

const OBEYING: &str = r#"
import contextlib
import io
import traceback


def application(environ, start_response):
    code = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
    printed, status = io.StringIO(), "200 OK"
    with contextlib.redirect_stdout(printed):
        try:
            exec(code, {"environ": environ})
        except BaseException:
            status = "500 Internal Server Error"
            traceback.print_exc(file=printed)
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [printed.getvalue().encode()]
"#;

/// A WSGI module that answers every request with `answer`.
pub fn hello_source(answer: &str) -> String {
    format!(
        "def application(environ, start_response):\n    start_response('200 OK', [('Content-Type', 'text/plain')])\n    return [b{answer:?}]\n"
    )
}

pub fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub fn assert_success(output: &Output) {
    assert!(output.status.success(), "status {:?}\n{}", output.status.code(), both(output));
}

/// The JSON documents of a `--json` run, one a line.
pub fn json_lines(output: &Output) -> Vec<serde_json::Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Runs a command of ours in a terminal (of `script`), where these lines are typed at the first yes-or-no question.
pub fn at_a_terminal(inner: &Command, typed: &str) -> (Option<i32>, String) {
    talk_at_a_terminal(inner, &[("[y/N]", typed)])
}

/// The same with several lines, each typed as soon as a text has appeared after what was typed before.
pub fn talk_at_a_terminal(inner: &Command, lines: &[(&str, &str)]) -> (Option<i32>, String) {
    let words: Vec<String> = std::iter::once(inner.get_program())
        .chain(inner.get_args())
        .map(|word| format!("'{}'", word.to_str().expect("UTF-8")))
        .collect();
    let mut script = Command::new("script");
    script.args(["-qec", &words.join(" "), "/dev/null"]).env_clear();
    for (name, value) in inner.get_envs() {
        script.env(name, value.expect("it is set"));
    }
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script starts");
    let mut input = child.stdin.take().expect("a pipe");
    let mut output = child.stdout.take().expect("a pipe");
    let mut seen = Vec::new();
    let (mut lines, mut answered) = (lines.iter().peekable(), 0);
    let mut piece = [0; 1024];
    // A person answers when there is a question, and `script` ends too early when its input does.
    while let Ok(read @ 1..) = output.read(&mut piece) {
        seen.extend_from_slice(&piece[..read]);
        if let Some((question, typed)) = lines.peek()
            && String::from_utf8_lossy(&seen[answered..]).contains(question)
        {
            input.write_all(typed.as_bytes()).expect("it is typed");
            answered = seen.len();
            lines.next();
        }
    }
    let status = child.wait().expect("script ends");
    (status.code(), String::from_utf8_lossy(&seen).into_owned())
}
