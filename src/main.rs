use std::process::ExitCode;

fn main() -> ExitCode {
    cloudtool::cli::main()
}
