//! The `tandem` binary: arguments → command → exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    tandem::cli::main()
}
