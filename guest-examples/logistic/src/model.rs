//! The model: standardised features, weights, gradient descent.

use serde::{Deserialize, Serialize};

use crate::Table;

/// Changes with the meaning of a model's text.
const FORMAT: &str = "logistic/1";

/// The strength of the penalty on large weights. 1.0 is what scikit-learn's
/// `LogisticRegression` calls `C=1.0`.
const INVERSE_PENALTY: f64 = 1.0;

/// A fitted model. A row is positive where `bias + Σ weight·(value - mean)/scale`
/// is above 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    format: String,
    features: Vec<String>,
    means: Vec<f64>,
    scales: Vec<f64>,
    weights: Vec<f64>,
    bias: f64,
}

/// How far the fit has come.
#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    /// Counts from 1.
    pub number: u32,
    /// The mean loss before this epoch's change, without the penalty.
    pub loss: f64,
}

/// How a model does on a table.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcomes {
    pub true_positive: u32,
    pub false_positive: u32,
    pub true_negative: u32,
    pub false_negative: u32,
    /// The mean logarithmic loss.
    pub loss: f64,
}

impl Outcomes {
    /// The number of rows.
    pub fn rows(&self) -> u32 {
        self.true_positive + self.false_positive + self.true_negative + self.false_negative
    }

    /// The share of rows that the model gets right.
    pub fn accuracy(&self) -> f64 {
        f64::from(self.true_positive + self.true_negative) / f64::from(self.rows())
    }
}

impl Model {
    /// Fits a model by full-batch gradient descent. `after_epoch` may end the
    /// fit with an error.
    pub fn fit(
        table: &Table,
        epochs: u32,
        rate: f64,
        mut after_epoch: impl FnMut(Epoch) -> Result<(), String>,
    ) -> Result<Self, String> {
        let mut model = Self::untrained(table);
        let rows: Vec<(Vec<f64>, f64)> = table
            .rows()
            .map(|(row, label)| (model.standardised(row), label))
            .collect();
        for number in 1..=epochs {
            let loss = model.descend(&rows, rate);
            if !loss.is_finite() {
                return Err(format!(
                    "the loss is {loss} after {number} epochs: the rate {rate} is too high"
                ));
            }
            after_epoch(Epoch { number, loss })?;
        }
        Ok(model)
    }

    /// Compares the model with a table's labels.
    pub fn evaluate(&self, table: &Table) -> Result<Outcomes, String> {
        self.check(table)?;
        let mut outcomes = Outcomes::default();
        for (row, label) in table.rows() {
            let margin = self.margin(&self.standardised(row));
            outcomes.loss += loss(margin, label) / table.len() as f64;
            let count = match (margin > 0.0, label > 0.5) {
                (true, true) => &mut outcomes.true_positive,
                (true, false) => &mut outcomes.false_positive,
                (false, false) => &mut outcomes.true_negative,
                (false, true) => &mut outcomes.false_negative,
            };
            *count += 1;
        }
        Ok(outcomes)
    }

    /// The scales of the features, and weights of 0.
    fn untrained(table: &Table) -> Self {
        let width = table.features.len();
        let count = table.len() as f64;
        let mut means = vec![0.0; width];
        for (row, _) in table.rows() {
            row.iter()
                .zip(&mut means)
                .for_each(|(value, mean)| *mean += value / count);
        }
        let mut scales = vec![0.0; width];
        for (row, _) in table.rows() {
            for ((value, mean), scale) in row.iter().zip(&means).zip(&mut scales) {
                *scale += (value - mean) * (value - mean) / count;
            }
        }
        for scale in &mut scales {
            // A feature that never changes says nothing; it must not divide by 0.
            *scale = if *scale > 0.0 { scale.sqrt() } else { 1.0 };
        }
        let features = table.features.clone();
        Self {
            format: FORMAT.to_owned(),
            features,
            means,
            scales,
            weights: vec![0.0; width],
            bias: 0.0,
        }
    }

    /// One step down the gradient; returns the mean loss before it.
    fn descend(&mut self, rows: &[(Vec<f64>, f64)], rate: f64) -> f64 {
        let count = rows.len() as f64;
        let mut gradient = vec![0.0; self.weights.len()];
        let mut bias_gradient = 0.0;
        let mut total = 0.0;
        for (row, label) in rows {
            let margin = self.margin(row);
            total += loss(margin, *label);
            let error = probability(margin) - label;
            row.iter()
                .zip(&mut gradient)
                .for_each(|(value, slope)| *slope += error * value);
            bias_gradient += error;
        }
        for (weight, slope) in self.weights.iter_mut().zip(&gradient) {
            *weight -= rate * (slope + *weight / INVERSE_PENALTY) / count;
        }
        self.bias -= rate * bias_gradient / count;
        total / count
    }

    fn check(&self, table: &Table) -> Result<(), String> {
        let width = self.features.len();
        if self.format != FORMAT {
            return Err(format!(
                "the model's format is {:?}, not {FORMAT:?}",
                self.format
            ));
        }
        if [&self.means, &self.scales, &self.weights]
            .iter()
            .any(|list| list.len() != width)
        {
            return Err("the model's lists have different lengths".to_owned());
        }
        if self.features != table.features {
            return Err(format!(
                "the model is for the features {:?}, not {:?}",
                self.features, table.features
            ));
        }
        Ok(())
    }

    fn standardised(&self, row: &[f64]) -> Vec<f64> {
        let scaled = row.iter().zip(&self.means).zip(&self.scales);
        scaled
            .map(|((value, mean), scale)| (value - mean) / scale)
            .collect()
    }

    fn margin(&self, row: &[f64]) -> f64 {
        self.bias
            + row
                .iter()
                .zip(&self.weights)
                .map(|(value, weight)| value * weight)
                .sum::<f64>()
    }
}

fn probability(margin: f64) -> f64 {
    1.0 / (1.0 + (-margin).exp())
}

/// `ln(1 + e^-m)` for a positive row, `ln(1 + e^m)` for a negative one, without
/// overflow.
fn loss(margin: f64, label: f64) -> f64 {
    let signed = if label > 0.5 { margin } else { -margin };
    (-signed).max(0.0) + (-signed.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &str = include_str!("../../data/breast-cancer.csv");

    fn fitted(epochs: u32) -> (Table, Model) {
        let table = Table::read(DATA.as_bytes()).unwrap();
        let model = Model::fit(&table, epochs, 0.1, |_| Ok(())).unwrap();
        (table, model)
    }

    #[test]
    fn learns_the_example_data() {
        let (table, model) = fitted(300);
        let outcomes = model.evaluate(&table).unwrap();
        assert_eq!(outcomes.rows(), 569);
        assert!(outcomes.accuracy() > 0.97, "{outcomes:?}");
        assert!(outcomes.loss < 0.1, "{outcomes:?}");
    }

    #[test]
    fn the_loss_falls() {
        let table = Table::read(DATA.as_bytes()).unwrap();
        let mut losses = Vec::new();
        Model::fit(&table, 50, 0.1, |epoch| {
            losses.push(epoch.loss);
            Ok(())
        })
        .unwrap();
        assert!(losses.is_sorted_by(|before, after| before > after));
    }

    #[test]
    fn a_model_survives_its_text() {
        let (table, model) = fitted(5);
        let text = serde_json::to_string(&model).unwrap();
        let read: Model = serde_json::from_str(&text).unwrap();
        assert_eq!(read.evaluate(&table).unwrap().rows(), 569);
    }

    #[test]
    fn a_model_refuses_another_table() {
        let (_, model) = fitted(1);
        let other = Table::read("a,y\n1,0\n".as_bytes()).unwrap();
        assert!(model.evaluate(&other).unwrap_err().contains("features"));
    }

    #[test]
    fn a_rate_that_is_too_high_is_an_error() {
        let table = Table::read("a,y\n1,0\n2,1\n".as_bytes()).unwrap();
        assert!(Model::fit(&table, 10, f64::INFINITY, |_| Ok(())).is_err());
    }
}
