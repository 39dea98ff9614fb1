//! What is counted of flights.

/// Flights that are counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All flights.
    pub flights: u64,
    /// Those of them that never left.
    pub cancelled: u64,
    /// How late the others left, together; who left early counts against it.
    pub delay_minutes: i64,
}

impl Tally {
    /// Counts a flight with the delay of its departure; without one, it was
    /// cancelled.
    pub fn add(&mut self, delay: Option<i64>) {
        self.flights += 1;
        match delay {
            Some(minutes) => self.delay_minutes += minutes,
            None => self.cancelled += 1,
        }
    }

    /// Counts all flights of another.
    pub fn merge(&mut self, other: &Self) {
        self.flights += other.flights;
        self.cancelled += other.cancelled;
        self.delay_minutes += other.delay_minutes;
    }

    /// The mean delay in minutes; nothing where no flight left.
    pub fn mean_delay(&self) -> Option<f64> {
        let departed = self.flights.saturating_sub(self.cancelled);
        (departed > 0).then(|| self.delay_minutes as f64 / departed as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(delays: &[Option<i64>]) -> Tally {
        let mut tally = Tally::default();
        delays.iter().for_each(|delay| tally.add(*delay));
        tally
    }

    #[test]
    fn cancelled_flights_have_no_delay() {
        let tally = tally(&[Some(10), None, Some(-4)]);
        assert_eq!((tally.flights, tally.cancelled), (3, 1));
        assert_eq!(tally.mean_delay(), Some(3.0));
        assert_eq!(self::tally(&[None]).mean_delay(), None);
    }

    #[test]
    fn parts_together_are_the_whole() {
        let mut merged = tally(&[Some(1), None]);
        merged.merge(&tally(&[Some(5)]));
        assert_eq!(merged, tally(&[Some(1), None, Some(5)]));
    }
}
