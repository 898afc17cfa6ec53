//! Run one kernel, for whoever counts its instructions: `one_kernel NAME`; without a name, list
//! them.

#[path = "../../core/benches/cases/mod.rs"]
mod cases;

use std::hint::black_box;
use std::process::ExitCode;

use cases::{Amount, Run};

/// Instructions are counted from here on, by name.
#[inline(never)]
fn counted(run: &mut Run) -> u64 {
    run()
}

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1);
    for case in cases::all() {
        let name = format!("{} {}", case.kernel, case.variant);
        if wanted.is_none() {
            println!("{name}");
        } else if wanted.as_ref() == Some(&name) {
            let (amount, mut run) = (case.make)();
            run(); // buffers grow once
            black_box(counted(&mut run));
            let (Amount::Bytes(count) | Amount::Elements(count)) = amount;
            println!("{count}");
            return ExitCode::SUCCESS;
        }
    }
    ExitCode::from(u8::from(wanted.is_some()))
}
