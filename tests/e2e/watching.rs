//! `top` in a real terminal (tmux), over real nodes, one of which goes away.

use std::fs;
use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::Test;
use crate::faults;
use crate::http::get;
use crate::whole::{await_that, remove};
use crate::world::{App, World, node};

pub const TESTS: &[Test] =
    &[("top_watches_nodes_and_gives_the_terminal_back", top_watches_nodes_and_gives_the_terminal_back)];

const APP: &str = "aa-watched";

/// A way to the node's SSH server that can be cut.
struct Way {
    port: u16,
    /// Both ends of every connection there was, also of those that are over.
    taken: Arc<Mutex<Vec<TcpStream>>>,
    open: Arc<Mutex<bool>>,
}

impl Way {
    fn to(address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let way = Way {
            port: listener.local_addr().expect("it has one").port(),
            taken: Arc::default(),
            open: Arc::new(Mutex::new(true)),
        };
        let (taken, open, there) = (way.taken.clone(), way.open.clone(), format!("{address}:22"));
        thread::spawn(move || {
            for here in listener.incoming().map_while(Result::ok) {
                if !*open.lock().unwrap() {
                    continue;
                }
                let there = TcpStream::connect(&there).expect("the node is there");
                let copies = || (here.try_clone().expect("a copy"), there.try_clone().expect("a copy"));
                taken.lock().unwrap().push(copies().0);
                for (mut from, mut to) in [copies(), (copies().1, copies().0)] {
                    thread::spawn(move || {
                        // A connection that is cut ends here.
                        let _ = copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        way
    }

    fn connections(&self) -> usize {
        self.taken.lock().unwrap().len()
    }

    fn set_open(&self, open: bool) {
        *self.open.lock().unwrap() = open;
        if !open {
            // Those that are over cannot be shut down again.
            self.taken.lock().unwrap().iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        }
    }
}

/// A terminal in which a script of ours runs.
struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    fn start(world: &World, script: &str, top: &Command) -> Self {
        let tmux = Tmux { socket: world.home.path().join("tmux") };
        let file = world.home.path().join("in-tmux.sh");
        fs::write(&file, script).expect("the script is written");
        let mut words: Vec<String> =
            ["new-session", "-d", "-x", "130", "-y", "30", "env", "-i", "TERM=screen", "LANG=C.UTF-8"]
                .map(str::to_owned)
                .into();
        for (name, value) in top.get_envs() {
            let value = value.expect("it is set").to_str().expect("UTF-8");
            words.push(format!("{}={value}", name.to_str().expect("UTF-8")));
        }
        words.extend(["sh".to_owned(), file.to_str().expect("UTF-8").to_owned()]);
        tmux.ask(&words);
        tmux
    }

    fn ask<S: AsRef<str>>(&self, words: &[S]) -> String {
        let words = words.iter().map(AsRef::as_ref);
        let output = Command::new("tmux").args(["-f", "/dev/null", "-S"]).arg(&self.socket).args(words).output();
        let output = output.expect("tmux starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn press(&self, key: &str) {
        self.ask(&["send-keys", key]);
    }

    fn screen(&self) -> String {
        self.ask(&["capture-pane", "-p"])
    }

    /// The screen, as soon as all of this is on it.
    fn until(&self, wanted: &[&str]) -> String {
        await_that(&format!("{wanted:?} is on the screen: {}", self.screen()), || {
            Some(self.screen()).filter(|screen| wanted.iter().all(|text| screen.contains(text)))
        })
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").status();
    }
}

/// The same node once more, by another way, in an inventory of its own.
fn also_by(world: &World, way: &Way) -> PathBuf {
    let (data, copied) = (world.home.path().join("data"), world.home.path().join("data-of-top"));
    assert!(Command::new("cp").arg("-a").args([&data, &copied]).status().expect("cp starts").success());
    let known = fs::read_to_string(data.join("known_hosts")).expect("the known hosts");
    let line = known.lines().find(|line| line.starts_with(&format!("{} ", world.address))).expect("the node's key");
    let by_way = line.replacen(&world.address, &format!("[127.0.0.1]:{}", way.port), 1);
    fs::write(copied.join("known_hosts"), format!("{known}{by_way}\n")).expect("it is written");
    let add = "import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as db:
    columns = [row[1] for row in db.execute('PRAGMA table_info(nodes)')]
    row = dict(zip(columns, db.execute('SELECT * FROM nodes WHERE name = ?', (sys.argv[2],)).fetchone()))
    row |= {'id': 'behind', 'name': 'behind', 'address': '127.0.0.1', 'port': int(sys.argv[3])}
    db.execute(f\"INSERT INTO nodes ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})\", tuple(row.values()))
";
    let inventory = copied.join("inventory.db");
    let added =
        Command::new("python3").args(["-c", add]).arg(&inventory).args([node(), &way.port.to_string()]).status();
    assert!(added.expect("python3 starts").success());
    copied
}

/// What other tests have left would stand between the rows of this one.
fn be_alone(world: &World) {
    let answer: serde_json::Value = serde_json::from_str(&world.ok(["query", "--json"])).expect("JSON");
    for other in answer["apps"].as_array().into_iter().flatten().filter_map(|other| other["app"].as_str()) {
        world.ok(["remove", other, "--with-data", "-y"]);
    }
}

fn top_watches_nodes_and_gives_the_terminal_back(world: &World) {
    let source = "import sys\ndef application(environ, start_response):\n    print('boom at ' + environ['PATH_INFO'], file=sys.stderr)\n    start_response('500 No', [])\n    return [b'no']\n";
    let app = App::new(APP, "runner = app.py\nhealth_check = /well\n")
        .file("app.py", &source.replace("'500 No'", "'200 OK' if environ['PATH_INFO'] == '/well' else '500 No'"));
    be_alone(world);
    world.ok(["update", app.path_str(), "--host", "watched.test"]);
    assert!(world.fails(2, ["top"]).contains("hint: cloudtool status shows the same once"));

    let way = Way::to(&world.address);
    let data = also_by(world, &way);
    let mut top = world.command(["top"]);
    top.env("CLOUDTOOL_DATA_DIR", &data);
    let binary = env!("CARGO_BIN_EXE_cloudtool");
    let pid = world.home.path().join("top.pid");
    let script = format!(
        "echo before it\nfor word in keys interrupt signal; do\n    \
         sh -c 'echo $$ >{}; exec {binary} top --on {} --on behind'\n    echo \"$word ended with $?\"\n    \
         stty -a | tr ' ;' '\\n\\n' | grep -x -e icanon -e echo\n    read -r line\ndone\n",
        pid.display(),
        node()
    );
    let tmux = Tmux::start(world, &script, &top);
    let screen = tmux.until(&["behind  load ", &format!("{}  load ", node()), "last errors", "NODE "]);
    assert!(!screen.contains("before it") && screen.matches(APP).count() >= 3, "{screen}");

    // What happens is seen, of the app that is chosen, over the one connection that stays.
    let answer = get(&world.address, "watched.test", "/where-it-fails");
    assert_eq!(answer.status, 500);
    let of_app = format!(" {APP} on behind: last errors");
    // Whichever answered first is the one that is chosen.
    tmux.press("Up");
    tmux.until(&[&of_app, "boom at /where-it-fails", "by name"]);
    tmux.press("Down");
    tmux.until(&["last errors", "boom at /where-it-fails", &format!("{APP} on {}: last", node())]);
    tmux.press("Up");
    tmux.press("s");
    tmux.until(&["(by requests)", &of_app]);
    tmux.press("Enter");
    let opened =
        await_that("the errors have the screen", || Some(tmux.screen()).filter(|screen| !screen.contains("REQ/MIN")));
    assert!(opened.contains(&of_app), "{opened}");
    tmux.press("Escape");
    tmux.until(&["REQ/MIN"]);
    for by in ["p95", "failed", "memory", "name"] {
        tmux.press("s");
        tmux.until(&[&format!("(by {by})")]);
    }
    assert_eq!(way.connections(), 1);

    // One goes away and comes back; the other goes on.
    way.set_open(false);
    let away = tmux.until(&["behind  does not answer: ", "unknown"]);
    assert!(away.contains(&format!("{}  load ", node())) && away.contains("running"), "{away}");
    get(&world.address, "watched.test", "/meanwhile");
    tmux.press("Down");
    tmux.until(&["boom at /meanwhile"]);
    way.set_open(true);
    tmux.until(&["behind  load "]);

    tmux.press("q");
    tmux.until(&["before it", "keys ended with 0", "icanon", "echo"]);
    for (word, end) in [("interrupt", "key"), ("signal", "TERM")] {
        tmux.press("Enter");
        tmux.until(&["behind  load "]);
        if end == "key" {
            tmux.press("C-c");
        } else {
            let pid = fs::read_to_string(&pid).expect("its number").trim().parse().expect("a number");
            faults::signal(pid, "TERM");
        }
        let screen = tmux.until(&["before it", &format!("{word} ended with 0")]);
        await_that("the terminal is as it was", || {
            let screen = tmux.screen();
            let after = screen.split(&format!("{word} ended")).nth(1)?.to_owned();
            (after.contains("icanon") && after.contains("echo")).then_some(())
        });
        assert!(!screen.contains("q quit"), "{screen}");
    }
    drop(tmux);
    fs::remove_dir_all(&data).expect("it goes");
    remove(world, APP);
}
