//! Mean, standard deviation and quantiles of measurements, on the host.

/// The mean; NaN if `xs` is empty.
pub fn mean(xs: &[f64]) -> f64 {
    xs.iter().sum::<f64>() / xs.len() as f64
}

/// The standard deviation of the population that `xs` are drawn from: `sqrt(sum (x - mean)^2 / (n - 1))`. NaN for fewer
/// than two.
pub fn standard_deviation(xs: &[f64]) -> f64 {
    if xs.len() < 2 {
        return f64::NAN;
    }
    let mean = mean(xs);
    let squares: f64 = xs.iter().map(|x| (x - mean) * (x - mean)).sum();
    (squares / (xs.len() - 1) as f64).sqrt()
}

/// The value below which the share `q` of all values lies, interpolated linearly: 0 is the smallest, 0.5 the median, 1
/// the largest. NaN if `xs` is empty.
///
/// # Panics
/// If `q` is outside 0 to 1.
#[track_caller]
pub fn quantile(xs: &[f64], q: f64) -> f64 {
    assert!((0.0..=1.0).contains(&q), "a quantile is between 0 and 1, not {q}");
    let mut sorted = xs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = q * last as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_numpy_says() {
        let xs = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(mean(&xs), 2.5);
        assert!((standard_deviation(&xs) - 1.290_994_448_735_805_6).abs() < 1e-15);
        assert_eq!([0.0, 0.5, 0.9, 1.0].map(|q| quantile(&xs, q)), [1.0, 2.5, 3.7, 4.0]);
        assert_eq!(quantile(&[7.0], 0.9), 7.0);
    }

    #[test]
    fn too_little_says_nothing() {
        assert!(mean(&[]).is_nan() && standard_deviation(&[1.0]).is_nan() && quantile(&[], 0.5).is_nan());
    }
}
