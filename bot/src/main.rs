//! `petrel`.

fn main() -> std::process::ExitCode {
    bot::cli::main()
}
