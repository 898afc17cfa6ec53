//! How fast the kernels are, on every instruction set of this machine: `cargo bench --bench
//! kernels`.

#![allow(missing_docs)] // what the macros of criterion make has none

mod cases;

use std::hint::black_box;
use std::time::Duration;

use cases::Amount;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn kernels(criterion: &mut Criterion) {
    for case in cases::all() {
        let mut group = criterion.benchmark_group(case.kernel);
        let (amount, mut run) = (case.make)();
        group.throughput(match amount {
            Amount::Bytes(bytes) => Throughput::Bytes(bytes as u64),
            Amount::Elements(elements) => Throughput::Elements(elements as u64),
        });
        group.bench_function(&case.variant, |bencher| bencher.iter(|| black_box(run())));
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20);
    targets = kernels
}
criterion_main!(benches);
