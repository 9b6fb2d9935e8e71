//! The feature interaction as a layer without parameters, and the order of its pairs elsewhere.

use super::Dlrm;
use crate::backend::Interaction;
use crate::ops;
use crate::parameters::Parameters;
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;

impl Interaction {
    /// The dense vector (`B × D`, if there is one) and the pooled ones (`B × T × D`) to `B × width`:
    /// see [`ops::interaction`].
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn forward(self, tape: &mut Tape, dense: Option<Var>, pooled: Var) -> Var {
        ops::interaction(tape, self, dense, pooled)
    }

    /// For each pair of `f` vectors, in the order of this crate, its place in TorchRec's.
    fn places_in_upper_triangle(self, f: usize) -> Vec<usize> {
        let off_diagonal = match self {
            Interaction::Dot => 1,
            Interaction::DotItself => 0,
            Interaction::Cat => return Vec::new(),
        };
        let upper: Vec<(usize, usize)> = (0..f).flat_map(|j| (j + off_diagonal..f).map(move |i| (i, j))).collect();
        let mut places: Vec<usize> = (0..upper.len()).collect();
        // The lower triangle is row by row what the upper one is column by column.
        places.sort_by_key(|&place| upper[place]);
        places
    }
}

/// Columns of the weight after the interaction, from one order of the pairs into another.
///
/// `dlrm_s_pytorch.py`, and so this crate, takes the pairs of the lower triangle row by row: (1,0), (2,0), (2,1),
/// (3,0), …; TorchRec's `InteractionArch` those of the upper one, (0,1), (0,2), (0,3), …, (1,2), …. They are the
/// same numbers, and the layer that reads them is linear: what a checkpoint of the other order needs is its columns
/// moved, once. The logits are then the same, and so is the way on, since every optimizer treats a column alone
/// or all alike. So there is one kernel, and one order in it.
impl Dlrm {
    /// Takes the first top layer of a checkpoint of TorchRec, which is in `params`, into this crate's order of pairs.
    /// A state of the optimizer that goes with it needs the same.
    pub fn pairs_from_torchrec(&self, params: &mut Parameters) {
        self.move_pairs(params, |places, row, moved| {
            places.iter().zip(moved).for_each(|(&place, to)| *to = row[place]);
        });
    }

    /// The way back, before the parameters are written for TorchRec.
    pub fn pairs_to_torchrec(&self, params: &mut Parameters) {
        self.move_pairs(params, |places, row, moved| {
            places.iter().zip(row).for_each(|(&place, &from)| moved[place] = from);
        });
    }

    fn move_pairs(&self, params: &mut Parameters, change: impl Fn(&[usize], &[f32], &mut [f32])) {
        let config = self.config();
        let has_dense = config.dense_features > 0;
        let vectors = config.num_embeddings.len() + usize::from(has_dense);
        let places = config.interaction.places_in_upper_triangle(vectors);
        let front = config.interaction_width() - places.len();
        params.update(self.first_top_layer().weight, |weight: &mut Tensor| {
            let cols = weight.cols();
            for row in weight.as_mut_slice().chunks_mut(cols) {
                let before = row[front..].to_vec();
                change(&places, &before, &mut row[front..]);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::jagged::JaggedTensor;
    use crate::nn::{DlrmConfig, Model};
    use crate::ops::tests::setup;
    use crate::random::Stream;

    #[test]
    fn the_places_of_four_vectors() {
        // (1,0) (2,0) (2,1) (3,0) (3,1) (3,2) among (0,1) (0,2) (0,3) (1,2) (1,3) (2,3).
        assert_eq!(Interaction::Dot.places_in_upper_triangle(4), [0, 1, 3, 2, 4, 5]);
        // (0,0) (1,0) (1,1) (2,0) (2,1) (2,2) among (0,0) (0,1) (0,2) (1,1) (1,2) (2,2).
        assert_eq!(Interaction::DotItself.places_in_upper_triangle(3), [0, 1, 3, 2, 4, 5]);
        assert_eq!(Interaction::Cat.places_in_upper_triangle(3), [0; 0]);
        assert_eq!(Interaction::Dot.places_in_upper_triangle(1), [0; 0]);
    }

    /// A model that is an interaction and a linear layer: `[x]` and one row of each of three tables.
    fn model(interaction: Interaction, params: &mut Parameters) -> Dlrm {
        let config = DlrmConfig {
            dense_features: 2,
            embedding_dim: 2,
            bottom_mlp: vec![],
            top_mlp: vec![1],
            interaction,
            ..DlrmConfig::criteo_kaggle(vec![1, 1, 1])
        };
        Dlrm::new(&config, params, &mut Stream::native(5)).unwrap()
    }

    fn logit(model: &Dlrm, params: &Parameters) -> f32 {
        let sparse = vec![JaggedTensor::one_per_bag(vec![0]); 3];
        let batch = Batch { dense: vec![0.5, -1.5], dense_features: 2, sparse, labels: vec![0.0] };
        let mut tape = Tape::new(params.backend().clone());
        let logit = model.forward(&mut tape, params, &batch);
        tape.value(logit).as_slice()[0]
    }

    /// What TorchRec makes of the same parameters: `[x, upper triangle row by row]`.
    fn torchrec_logit(interaction: Interaction, params: &Parameters) -> f32 {
        let mut vectors = vec![vec![0.5, -1.5]];
        vectors.extend(params.tables().iter().map(|t| t.row(0).to_vec()));
        let mut z = vectors[0].clone();
        for i in 0..4 {
            for j in i + usize::from(interaction == Interaction::Dot)..4 {
                z.push(vectors[i][0] * vectors[j][0] + vectors[i][1] * vectors[j][1]);
            }
        }
        let [weight, bias] = [0, 1].map(|i| params.dense()[i].value().as_slice());
        z.iter().zip(weight).map(|(z, w)| z * w).sum::<f32>() + bias[0]
    }

    #[test]
    fn a_checkpoint_of_torchrec_has_its_logits_here_and_goes_back() {
        for interaction in [Interaction::Dot, Interaction::DotItself] {
            let mut params = setup();
            let model = model(interaction, &mut params);
            let before = params.dense()[0].value().as_slice().to_vec();
            let expected = torchrec_logit(interaction, &params);
            assert!((logit(&model, &params) - expected).abs() > 1e-3, "the order matters");
            model.pairs_from_torchrec(&mut params);
            assert!((logit(&model, &params) - expected).abs() < 1e-6, "{interaction:?}");
            model.pairs_to_torchrec(&mut params);
            assert_eq!(params.dense()[0].value().as_slice(), before);
        }
    }

    #[test]
    fn without_pairs_nothing_moves() {
        let mut params = setup();
        let model = model(Interaction::Cat, &mut params);
        let before = params.dense()[0].value().as_slice().to_vec();
        model.pairs_from_torchrec(&mut params);
        assert_eq!(params.dense()[0].value().as_slice(), before);
    }
}
