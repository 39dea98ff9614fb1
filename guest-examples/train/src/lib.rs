//! Fits a classifier, and says how it goes: progress, a metric, log messages.

wit_bindgen::generate!({
    path: ["../../wit", "wit"],
    world: "example:train/train",
    generate_all,
});

use logistic::{Epoch, Model, Table};
use wharf::step::context;
use wharf::step::telemetry::{self, Level};

/// The learning rate where the caller does not choose one.
const DEFAULT_RATE: f64 = 0.1;
/// A fit records its loss about this often, however many epochs it takes.
const LOSS_POINTS: u32 = 10;

struct Component;

impl Guest for Component {
    fn run(data: Input, model: Output, epochs: u32, rate: Option<f64>) -> Result<Scores, String> {
        let table = Table::read(artifact_io::reader(|offset, len| data.read(offset, len)))?;
        log(
            "table read",
            &[("rows", table.len()), ("features", table.features.len())],
        );
        let fitted = Model::fit(&table, epochs, checked(rate)?, |epoch| {
            report(epoch, epochs)
        })?;
        let outcomes = fitted.evaluate(&table)?;
        log("model fitted", &[("epochs", epochs as usize)]);
        write(&model, &fitted)?;
        Ok(Scores {
            accuracy: outcomes.accuracy(),
            loss: outcomes.loss,
            rows: outcomes.rows(),
        })
    }
}

fn checked(rate: Option<f64>) -> Result<f64, String> {
    match rate.unwrap_or(DEFAULT_RATE) {
        rate if rate.is_finite() && rate > 0.0 => Ok(rate),
        rate => Err(format!("rate is {rate}; it must be above 0")),
    }
}

fn report(epoch: Epoch, epochs: u32) -> Result<(), String> {
    if context::is_cancelled() {
        return Err(format!("cancelled after {} epochs", epoch.number));
    }
    telemetry::progress(epoch.number.into(), Some(epochs.into()), "epochs");
    if is_loss_point(epoch.number, epochs) {
        telemetry::metric("loss", epoch.loss, Some(epoch.number.into()));
    }
    Ok(())
}

fn is_loss_point(epoch: u32, epochs: u32) -> bool {
    epoch == epochs || epoch.is_multiple_of((epochs / LOSS_POINTS).max(1))
}

fn write(output: &Output, model: &Model) -> Result<(), String> {
    let mut json = serde_json::to_string_pretty(model).map_err(|error| error.to_string())?;
    json.push('\n');
    output
        .set_media_type("application/json")
        .map_err(|error| error.to_string())?;
    output
        .write(json.as_bytes())
        .map_err(|error| error.to_string())
}

fn log(message: &str, fields: &[(&str, usize)]) {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.to_string()))
        .collect();
    telemetry::log(Level::Info, message, &fields);
}

export!(Component);
