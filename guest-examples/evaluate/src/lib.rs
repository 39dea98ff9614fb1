//! Scores a model on a table that it was not fitted to.

wit_bindgen::generate!({
    path: ["../../wit", "wit"],
    world: "example:evaluate/evaluate",
    generate_all,
});

use logistic::{Model, Table};

struct Component;

impl Guest for Component {
    fn run(data: Input, model: Input) -> Result<Evaluation, String> {
        let reader = artifact_io::reader(|offset, len| model.read(offset, len));
        let model: Model =
            serde_json::from_reader(reader).map_err(|error| format!("model: {error}"))?;
        let table = Table::read(artifact_io::reader(|offset, len| data.read(offset, len)))?;
        let outcomes = model.evaluate(&table)?;
        Ok(Evaluation {
            accuracy: outcomes.accuracy(),
            loss: outcomes.loss,
            confusion: Confusion {
                true_positive: outcomes.true_positive,
                false_positive: outcomes.false_positive,
                true_negative: outcomes.true_negative,
                false_negative: outcomes.false_negative,
            },
        })
    }
}

export!(Component);
