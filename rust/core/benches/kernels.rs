//! How fast the kernels are, on every instruction set of this machine: `cargo bench --bench
//! kernels`.

#![allow(missing_docs)] // what the macros of criterion make has none

mod work;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use work::Amount;

fn kernels(criterion: &mut Criterion) {
    for work in work::all() {
        let mut group = criterion.benchmark_group(work.kernel);
        let (amount, mut run) = (work.make)();
        group.throughput(match amount {
            Amount::Bytes(bytes) => Throughput::Bytes(bytes as u64),
            Amount::Elements(elements) => Throughput::Elements(elements as u64),
        });
        group.bench_function(&work.variant, |bencher| bencher.iter(|| black_box(run())));
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
