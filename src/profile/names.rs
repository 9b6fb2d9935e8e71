//! What the reference's programs call the operations.

/// The operators of the reference's Caffe2 and PyTorch programs that do the work of `operator`, in this order: those of
/// the paper's table 1, and what else its figure 6 shows the times of. Gradients have Caffe2's name with `Gradient`, and autograd's node.
/// `None` if those programs have no operator of the kind, as for packing.
pub fn reference_operators(operator: &str) -> Option<[&'static str; 2]> {
    Some(match operator {
        "linear" => ["FC, Relu", "addmm, relu"],
        "linear_backward" => ["FCGradient, ReluGradient", "AddmmBackward, ReluBackward"],
        "sigmoid" => ["Sigmoid", "sigmoid"],
        "sigmoid_backward" => ["SigmoidGradient", "SigmoidBackward"],
        "clamp" => ["Clip", "clamp"],
        "clamp_backward" => ["ClipGradient", "ClampBackward"],
        "embedding_bags" => ["SparseLengthsSum", "embedding_bag"],
        "embedding_bags_backward" => ["SparseLengthsSumGradient", "EmbeddingBagBackward"],
        "gather_weights" => ["Gather", "gather"],
        "gather_weights_backward" => ["SparseLengthsWeightedSumGradient", "GatherBackward"],
        "interaction" => ["BatchMatMul, BatchGather, Concat", "bmm, index, cat"],
        "interaction_backward" => {
            ["BatchMatMulGradient, BatchGatherGradient, Split", "BmmBackward, IndexBackward, CatBackward"]
        }
        "loss" => ["Sigmoid, SquaredL2Distance, AveragedLoss", "sigmoid, mse_loss"],
        "loss_backward" => {
            ["SigmoidGradient, SquaredL2DistanceGradient, AveragedLossGradient", "SigmoidBackward, MseLossBackward"]
        }
        "update_dense" => ["WeightedSum", "Optimizer.step"],
        "update_tables" => ["ScatterWeightedSum", "Optimizer.step"],
        _ => return None,
    })
}
