//! How much of a resource a load costs, learnt from what both did together.

use crate::{Series, stat::median};

/// `resource = idle * replicas + per_load * load`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Relation {
    /// What one replica uses without any load, in the unit of the resource.
    pub idle: f64,
    /// What one unit of load costs; above zero.
    pub per_load: f64,
    /// The usual relative error: the median absolute residual over the median of the resource.
    pub error: f64,
    /// From how many samples; 0 where the load is the resource itself.
    pub samples: usize,
}

/// Why the load does not explain the resource.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum NoRelation {
    /// Nothing to learn from.
    #[error("only {have} samples have load, resource and replicas; {need} are needed")]
    TooFew {
        /// How many there are.
        have: usize,
        /// How many it takes.
        need: usize,
    },
    /// More load does not cost more.
    #[error("the resource does not grow with the load")]
    Unrelated,
    /// It does, but that says little.
    #[error("load explains the resource only to {:.0} % of its usual value", error * 100.0)]
    Loose {
        /// Relative error, as in [`Relation::error`].
        error: f64,
    },
}

/// Fewer samples than this teach nothing.
const LEAST: usize = 24;
/// Rounds of reweighting; the weights have settled long before.
const ROUNDS: usize = 20;
/// Robust deviations from which a sample counts less, with 95 % efficiency for normal errors (Huber 1964).
const HUBER: f64 = 1.345;
/// A relation with a larger usual error is none to plan with.
const LOOSE: f64 = 0.25;

impl Relation {
    /// The load is the resource itself.
    pub fn identity() -> Self {
        Relation { idle: 0.0, per_load: 1.0, error: 0.0, samples: 0 }
    }

    /// The load in the unit of the resource, without what is used when idle.
    pub fn demand(&self, load: &Series) -> Series {
        let values = load.values().iter().map(|v| (v * self.per_load).clamp(0.0, 1e100)).collect();
        Series { values, ..load.clone() }
    }

    /// Robust regression (Huber's weights, iteratively reweighted least squares) of samples `(load, replicas, resource)`, all
    /// at one time each and summed over the replicas; what is not finite or negative is left out. Both coefficients are kept at
    /// zero or above: a pod cannot give back what it uses.
    pub fn learn(samples: &[(f64, f64, f64)]) -> Result<Self, NoRelation> {
        let fine = |v: f64| v.is_finite() && v >= 0.0;
        let kept: Vec<(f64, f64, f64)> =
            samples.iter().copied().filter(|&(l, n, r)| fine(l) && fine(n) && fine(r) && n > 0.0).collect();
        if kept.len() < LEAST {
            return Err(NoRelation::TooFew { have: kept.len(), need: LEAST });
        }
        let usual = |of: fn(&(f64, f64, f64)) -> f64| kept.iter().map(of).fold(0.0, f64::max);
        let (load, replicas, resource) = (usual(|s| s.0), usual(|s| s.1), usual(|s| s.2));
        if load <= 0.0 || resource <= 0.0 {
            return Err(NoRelation::Unrelated);
        }
        // Everything at about one, so that no product overflows.
        let unit: Vec<(f64, f64, f64)> =
            kept.iter().map(|&(l, n, r)| (l / load, n / replicas, r / resource)).collect();
        let mut weights = vec![1.0; unit.len()];
        let (mut idle, mut slope) = (0.0, 0.0);
        let mut residuals = vec![0.0; unit.len()];
        for _ in 0..ROUNDS {
            (idle, slope) = least_squares(&unit, &weights);
            for (residual, &(l, n, r)) in residuals.iter_mut().zip(&unit) {
                *residual = (r - idle * n - slope * l).abs();
            }
            let deviation = 1.4826 * median(&mut residuals.clone());
            if deviation <= 1e-12 {
                break;
            }
            for (weight, &residual) in weights.iter_mut().zip(&residuals) {
                *weight = (HUBER * deviation / residual.max(f64::MIN_POSITIVE)).min(1.0);
            }
        }
        let middle = median(&mut unit.iter().map(|s| s.2).collect::<Vec<_>>());
        let error = median(&mut residuals) / middle.max(f64::MIN_POSITIVE);
        let relation = Relation {
            idle: idle * (resource / replicas),
            per_load: slope * (resource / load),
            error,
            samples: kept.len(),
        };
        if !(relation.per_load.is_finite() && relation.per_load > 0.0 && relation.idle.is_finite()) {
            return Err(NoRelation::Unrelated);
        }
        if error.is_nan() || error > LOOSE {
            return Err(NoRelation::Loose { error });
        }
        Ok(relation)
    }
}

/// `(idle, slope)`, both at least zero: where one would be negative it is zero and the other is fitted alone.
fn least_squares(samples: &[(f64, f64, f64)], weights: &[f64]) -> (f64, f64) {
    let (mut nn, mut nl, mut ll, mut nr, mut lr) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (&(l, n, r), &w) in samples.iter().zip(weights) {
        nn += w * n * n;
        nl += w * n * l;
        ll += w * l * l;
        nr += w * n * r;
        lr += w * l * r;
    }
    let determinant = nn * ll - nl * nl;
    let alone = |over: f64, under: f64| if under > 0.0 { (over / under).max(0.0) } else { 0.0 };
    // Replicas that follow the load exactly cannot be told from it: then the load carries everything.
    if determinant <= 1e-9 * nn * ll {
        return (0.0, alone(lr, ll));
    }
    let idle = (nr * ll - lr * nl) / determinant;
    let slope = (lr * nn - nr * nl) / determinant;
    match (idle < 0.0, slope < 0.0) {
        (true, _) => (0.0, alone(lr, ll)),
        (_, true) => (alone(nr, nn), 0.0),
        _ => (idle, slope),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn samples(idle: f64, per_load: f64) -> Vec<(f64, f64, f64)> {
        (0..200)
            .map(|i| {
                let load = 500.0 + 400.0 * (f64::from(i) / 30.0).sin();
                let replicas = 5.0 + f64::from(i % 4);
                (load, replicas, idle * replicas + per_load * load)
            })
            .collect()
    }

    #[test]
    fn idle_and_cost_are_told_apart_and_outliers_do_not_matter() {
        let mut seen = samples(0.05, 0.002);
        for (i, sample) in seen.iter_mut().enumerate() {
            sample.2 *= 1.0 + 0.02 * ((i * 37 % 11) as f64 / 5.0 - 1.0);
            if i % 9 == 0 {
                sample.2 *= 6.0;
            }
        }
        let learnt = Relation::learn(&seen).unwrap();
        assert!((learnt.per_load / 0.002 - 1.0).abs() < 0.05, "{learnt:?}");
        assert!((learnt.idle / 0.05 - 1.0).abs() < 0.15, "{learnt:?}");
        assert!(learnt.error < 0.05);
    }

    #[test]
    fn a_resource_that_ignores_the_load_is_no_relation() {
        let flat: Vec<_> = samples(0.05, 0.002).into_iter().map(|(l, n, _)| (l, n, 0.1 * n)).collect();
        match Relation::learn(&flat) {
            Err(NoRelation::Unrelated) => {}
            Ok(found) => assert!(found.per_load * 900.0 < 1e-6, "{found:?}"),
            other => panic!("{other:?}"),
        }
        let random: Vec<_> = samples(0.0, 0.002)
            .into_iter()
            .enumerate()
            .map(|(i, (l, n, _))| (l, n, (i * 7919 % 101) as f64))
            .collect();
        assert!(matches!(Relation::learn(&random), Err(NoRelation::Loose { .. } | NoRelation::Unrelated)));
        assert!(matches!(Relation::learn(&random[..10]), Err(NoRelation::TooFew { have: 10, .. })));
    }

    proptest! {
        #[test]
        fn any_numbers_give_a_finite_relation_or_none(
            seen in prop::collection::vec((any::<f64>(), any::<f64>(), any::<f64>()), 0..80)
        ) {
            if let Ok(learnt) = Relation::learn(&seen) {
                prop_assert!(learnt.idle.is_finite() && learnt.per_load.is_finite() && learnt.error.is_finite());
                prop_assert!(learnt.idle >= 0.0 && learnt.per_load > 0.0);
            }
        }

        #[test]
        fn the_units_do_not_matter(load in 1e-6..1e6f64, resource in 1e-6..1e9f64) {
            let plain = Relation::learn(&samples(0.05, 0.002)).unwrap();
            let scaled: Vec<_> =
                samples(0.05, 0.002).into_iter().map(|(l, n, r)| (l * load, n, r * resource)).collect();
            let scaled = Relation::learn(&scaled).unwrap();
            prop_assert!((scaled.per_load * load / resource / plain.per_load - 1.0).abs() < 1e-6);
            prop_assert!((scaled.idle / resource / plain.idle - 1.0).abs() < 1e-6);
        }
    }
}
