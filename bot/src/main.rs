//! `petrel`.

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // First of all: it forks no thread and opens no file before the walls around a script stand.
    sandbox::enter_if_asked().unwrap_or_else(bot::cli::main)
}
