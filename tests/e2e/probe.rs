//! An app that does what it is told: the tests look at the node from inside of it.

use serde_json::Value;

use crate::http::request;
use crate::world::{App, World};

/// Runs the Python code it is sent, and answers with what that printed; a refusal is a line `REFUSED ...`.
const SOURCE: &str = r#"
import contextlib, io

def application(environ, start_response):
    code = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        try:
            exec(code, {"environ": environ})
        except BaseException as error:
            print("REFUSED", type(error).__name__, error)
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [said.getvalue().encode()]
"#;

/// The app, not deployed yet; `ini` is what follows the runner in its app.ini.
pub fn app(name: &str, ini: &str) -> App {
    App::new(name, &format!("runner = app.py\n{ini}")).file("app.py", SOURCE)
}

/// What `code` prints inside the app that is reached at `host`.
pub fn ask(world: &World, host: &str, code: &str) -> String {
    let answer = request(&world.address, "POST", host, "/", "", code.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body.trim_end().to_owned()
}

/// The environment the app sees.
pub fn environment(world: &World, host: &str) -> Value {
    let told = ask(world, host, "import json, os; print(json.dumps(dict(os.environ)))");
    serde_json::from_str(&told).expect("a JSON object")
}
