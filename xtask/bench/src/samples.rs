//! Repeated readings of one figure.

/// Readings, sorted.
#[derive(Clone, Debug)]
pub(crate) struct Samples(Vec<f64>);

/// From so many readings on, the spread is the middle half of them.
const ENOUGH_FOR_QUARTILES: usize = 8;

impl Samples {
    /// Of at least one reading.
    pub(crate) fn new(mut readings: Vec<f64>) -> Self {
        assert!(!readings.is_empty(), "nothing was measured");
        readings.sort_by(f64::total_cmp);
        Self(readings)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The middle half where there are enough readings, else the lowest and the
    /// highest.
    pub(crate) fn spread(&self) -> [f64; 2] {
        match self.has_quartiles() {
            true => [self.quantile(0.25), self.quantile(0.75)],
            false => [self.quantile(0.0), self.quantile(1.0)],
        }
    }

    pub(crate) fn has_quartiles(&self) -> bool {
        self.0.len() >= ENOUGH_FOR_QUARTILES
    }

    /// Between two readings, in proportion.
    fn quantile(&self, share: f64) -> f64 {
        let place = share * (self.0.len() - 1) as f64;
        let (below, above) = (place.floor() as usize, place.ceil() as usize);
        self.0[below] + (self.0[above] - self.0[below]) * place.fract()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_readings_spread_from_lowest_to_highest() {
        let samples = Samples::new(vec![3.0, 1.0, 2.0, 10.0]);
        assert_eq!((samples.median(), samples.spread()), (2.5, [1.0, 10.0]));
    }

    #[test]
    fn many_readings_spread_over_their_middle_half() {
        let samples = Samples::new((0..=8).map(f64::from).collect());
        assert_eq!((samples.median(), samples.spread()), (4.0, [2.0, 6.0]));
    }
}
