//! `sandbox-try WORD...` runs one program in the sandbox, as it is by default, and tells what came of it. For tests and the curious.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = sandbox::enter_if_asked() {
        return code;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let run = async { sandbox::Sandbox::default().run(&words).await };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map(|runtime| runtime.block_on(run)) {
        Ok(Ok(ran)) => {
            print!("{}", ran.stdout.text());
            eprint!("{}", ran.stderr.text());
            eprintln!("{:?} after {:?}; {:?} {:?}", ran.ended, ran.took, ran.layers, ran.remarks);
            ExitCode::SUCCESS
        }
        Ok(Err(error)) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
