//! The `daybook` command.

fn main() -> std::process::ExitCode {
    daybook::run()
}
