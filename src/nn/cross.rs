//! Cross networks: features times features, one degree more a layer.

use super::init;
use crate::backend::Activation;
use crate::ops;
use crate::parameters::{DenseId, Parameters};
use crate::random::Stream;
use crate::tape::{Tape, Var};

/// The cross network of DCN (Wang et al. 2017, arXiv 1708.05123, equation 3): layers
/// `x_{l+1} = x₀ (x_l · w_l) + b_l + x_l` on vectors of `N` numbers, with `w_l` and `b_l` of `N` numbers each.
#[derive(Debug, Clone)]
pub struct CrossNet {
    layers: Vec<[DenseId; 2]>,
}

impl CrossNet {
    /// `layers` layers on `n` numbers, `{name}.weight.{l}` (`1 × N`) from `N(0, √(2 / (N + 1)))` and
    /// `{name}.bias.{l}` of zeros. (The paper leaves initial values open.)
    pub fn new(params: &mut Parameters, name: &str, n: usize, layers: usize, stream: &mut Stream) -> Self {
        let layer = |l| {
            let weight = init::xavier_normal(params, format!("{name}.weight.{l}"), 1, n, stream);
            let bias = params.zeros(&[n]);
            [weight, params.add_dense(format!("{name}.bias.{l}"), bias)]
        };
        CrossNet { layers: (0..layers).map(layer).collect() }
    }

    /// `X₀` (`B × N`) through every layer.
    pub fn forward(&self, tape: &mut Tape, params: &Parameters, x0: Var) -> Var {
        self.layers.iter().fold(x0, |x, &[weight, bias]| {
            let product = ops::linear(tape, params, x, weight, None, Activation::None);
            ops::cross(tape, params, x0, product, Some(bias), x)
        })
    }
}

/// The cross network of DCN-v2 with weights of low rank (Wang et al. 2020, arXiv 2008.13535, section 3.4; TorchRec's
/// `LowRankCrossNet`): layers `x_{l+1} = x₀ ⊙ (W_l (V_l x_l) + b_l) + x_l` on vectors of `N` numbers, with `W_l` of
/// `N × R` and `V_l` of `R × N`.
#[derive(Debug, Clone)]
pub struct LowRankCrossNet {
    layers: Vec<LowRankCross>,
}

#[derive(Debug, Clone, Copy)]
struct LowRankCross {
    v: DenseId,
    w: DenseId,
    bias: DenseId,
}

impl LowRankCrossNet {
    /// As many layers as `config` says on `n` numbers, with TorchRec's names and initial values:
    /// `{name}.W_kernels.{l}` and `{name}.V_kernels.{l}` by Xavier's normal law, `N(0, √(2 / (N + R)))`, and
    /// `{name}.bias.{l}` of zeros.
    pub fn new(params: &mut Parameters, name: &str, n: usize, config: CrossConfig, stream: &mut Stream) -> Self {
        let layer = |l| {
            let w = init::xavier_normal(params, format!("{name}.W_kernels.{l}"), n, config.rank, stream);
            let v = init::xavier_normal(params, format!("{name}.V_kernels.{l}"), config.rank, n, stream);
            let bias = params.zeros(&[n]);
            let bias = params.add_dense(format!("{name}.bias.{l}"), bias);
            LowRankCross { v, w, bias }
        };
        LowRankCrossNet { layers: (0..config.layers).map(layer).collect() }
    }

    /// `X₀` (`B × N`) through every layer.
    pub fn forward(&self, tape: &mut Tape, params: &Parameters, x0: Var) -> Var {
        self.layers.iter().fold(x0, |x, &LowRankCross { v, w, bias }| {
            let low = ops::linear(tape, params, x, v, None, Activation::None);
            let product = ops::linear(tape, params, low, w, Some(bias), Activation::None);
            ops::cross(tape, params, x0, product, None, x)
        })
    }
}

/// The shape of a [`LowRankCrossNet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrossConfig {
    /// How many layers; TorchRec's `--dcn_num_layers`.
    pub layers: usize,
    /// The rank `R` of their weights; TorchRec's `--dcn_low_rank_dim`.
    pub rank: usize,
}

impl CrossConfig {
    /// How many numbers the layers learn on vectors of `n`.
    pub(crate) fn num_parameters(self, n: usize) -> u64 {
        (self.layers as u64 * (2 * self.rank as u64 + 1)).saturating_mul(n as u64)
    }
}

impl Default for CrossConfig {
    /// Three layers of rank 512, as in MLPerf's DLRM-DCNv2.
    fn default() -> Self {
        CrossConfig { layers: 3, rank: 512 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::setup;

    fn set(params: &mut Parameters, values: &[(&str, &[f32])]) {
        for (name, values) in values {
            let at = params.dense().iter().position(|p| p.name() == *name).unwrap();
            params.update(DenseId(at), |t| t.copy_from_slice(values));
        }
    }

    fn forward(params: &Parameters, net: impl Fn(&mut Tape, Var) -> Var) -> Vec<f32> {
        let mut tape = Tape::new(params.backend().clone());
        let x = tape.input(&[1, 2], &[1.0, 2.0]);
        let y = net(&mut tape, x);
        tape.value(y).as_slice().to_vec()
    }

    /// x₀ = (1, 2); w₀ = (3, -1): x₀·w₀ = 1, x₁ = (1, 2) + (0.5, 0) + (1, 2) = (2.5, 4); w₁ = (2, 0): x₁·w₁ = 5,
    /// x₂ = 5 (1, 2) + (0, 1) + (2.5, 4) = (7.5, 15).
    #[test]
    fn two_layers_of_dcn_by_hand() {
        let mut params = setup();
        let net = CrossNet::new(&mut params, "crossnet", 2, 2, &mut Stream::native(1));
        set(
            &mut params,
            &[
                ("crossnet.weight.0", &[3.0, -1.0]),
                ("crossnet.bias.0", &[0.5, 0.0]),
                ("crossnet.weight.1", &[2.0, 0.0]),
                ("crossnet.bias.1", &[0.0, 1.0]),
            ],
        );
        assert_eq!(forward(&params, |tape, x| net.forward(tape, &params, x)), [7.5, 15.0]);
    }

    /// x₀ = (1, 2); V₀ = (1, 1): 3; W₀ = (2, -1)ᵀ, b₀ = (1, 0): (7, -3); x₁ = (7, -6) + (1, 2) = (8, -4). The second
    /// layer: V₁ = (0.5, 1): 0, b₁ = (1, 1): x₂ = (1, 2) + (8, -4) = (9, -2).
    #[test]
    fn two_layers_of_dcn_v2_by_hand() {
        let mut params = setup();
        let config = CrossConfig { layers: 2, rank: 1 };
        let net = LowRankCrossNet::new(&mut params, "crossnet", 2, config, &mut Stream::native(1));
        set(
            &mut params,
            &[
                ("crossnet.V_kernels.0", &[1.0, 1.0]),
                ("crossnet.W_kernels.0", &[2.0, -1.0]),
                ("crossnet.bias.0", &[1.0, 0.0]),
                ("crossnet.V_kernels.1", &[0.5, 1.0]),
                ("crossnet.bias.1", &[1.0, 1.0]),
            ],
        );
        assert_eq!(forward(&params, |tape, x| net.forward(tape, &params, x)), [9.0, -2.0]);
        assert_eq!(params.count() as u64, config.num_parameters(2));
    }
}
