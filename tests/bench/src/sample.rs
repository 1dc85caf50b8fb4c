//! Medians, and timing of calls too short for one reading of the clock.

use std::time::Instant;

use anyhow::Result;

/// The middle of the samples.
pub(crate) fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Microseconds of one call of each kind, taken in turns: a disturbance of the machine hits both.
pub(crate) async fn pair<F: Future<Output = Result<()>>, G: Future<Output = Result<()>>>(
    samples: usize,
    calls: usize,
    mut one: impl FnMut(usize) -> F,
    mut other: impl FnMut(usize) -> G,
) -> Result<(f64, f64)> {
    let (mut ones, mut others) = (Vec::with_capacity(samples), Vec::with_capacity(samples));
    for sample in 0..samples {
        ones.push(reading(sample, calls, &mut one).await?);
        others.push(reading(sample, calls, &mut other).await?);
    }
    Ok((median(ones), median(others)))
}

/// One reading of the clock over several calls, as microseconds of one.
async fn reading<F: Future<Output = Result<()>>>(sample: usize, calls: usize, call: &mut impl FnMut(usize) -> F) -> Result<f64> {
    let start = Instant::now();
    for index in 0..calls {
        call(sample * calls + index).await?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / calls as f64)
}
