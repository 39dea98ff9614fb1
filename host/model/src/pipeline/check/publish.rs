//! Checks that the tags which a run moves do not depend on which step is faster.

use std::collections::BTreeMap;

use super::super::diagnostic::Diagnostic;
use super::super::file::Publish;
use super::super::publish::PublishTarget;
use super::Checker;

/// A step, by its place in the order, and what it publishes.
type Published<'a> = (usize, &'a Publish);

impl Checker<'_> {
    /// Refuses two steps that move one tag, where neither waits for the other. Those
    /// with a condition are left out: conditions may see to it that only one runs.
    pub(super) fn tags(&mut self) {
        // Where something is not known, there may be an order that does not show.
        if self.order.is_circular || self.found.may_hide() {
            return;
        }
        let mut moved: BTreeMap<&PublishTarget, Vec<Published<'_>>> = BTreeMap::new();
        for (at, step) in self.order.steps.iter().enumerate() {
            let step = &self.pipeline.steps[*step];
            let publish = step.publish.iter().filter(|it| it.target.tag.is_some());
            for publish in publish.filter(|_| step.when.is_none()) {
                moved
                    .entry(&publish.target)
                    .or_default()
                    .push((at, publish));
            }
        }
        for all in moved.values().filter(|all| all.len() > 1) {
            self.one_after_the_other(all);
        }
    }

    /// Steps in their order are one after the other where each waits for the one
    /// before. All are looked at in one walk.
    fn one_after_the_other(&mut self, all: &[Published<'_>]) {
        let (Some((first, _)), Some((last, _))) = (all.first(), all.last()) else {
            return;
        };
        // For each step from the first to the last, the last of `all` before it that it
        // waits for, and then itself where it is one of them; both counted from 1.
        let mut waits_for = vec![0; last - first + 1];
        let mut next = 0;
        for at in *first..=*last {
            let on = &self.order.dependencies[self.order.steps[at]];
            let before = on.iter().filter_map(|step| {
                let position = self.order.position[*step].checked_sub(*first)?;
                Some(waits_for[position])
            });
            let before = before.max().unwrap_or(0);
            waits_for[at - first] = before;
            while let Some((_, publish)) = all.get(next).filter(|(step, _)| *step == at) {
                if before < next && all[next - 1].0 != at {
                    self.refuse_race(all[next - 1], (at, publish));
                }
                next += 1;
                waits_for[at - first] = next;
            }
        }
    }

    fn refuse_race(&mut self, one: Published<'_>, other: Published<'_>) {
        let name = |of: Published<'_>| &*self.pipeline.steps[self.order.steps[of.0]].name.text;
        let (target, first, second) = (&other.1.target, name(one), name(other));
        let message = format!(
            "`{first}` and `{second}` both publish `{target}`, and neither waits for the other"
        );
        let hint = format!("add `needs: [{first}]` to `{second}`, or publish under another tag");
        let also = format!("`{first}` publishes it here");
        let diagnostic = Diagnostic::new(other.1.value.span.clone(), message).hint(hint);
        self.found
            .push(diagnostic.also(one.1.value.span.clone(), also));
    }
}
