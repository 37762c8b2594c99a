//! Embedded folders are read by macros that cargo does not watch: name them here.

fn main() {
    for folder in ["server-files", "services", "templates"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
