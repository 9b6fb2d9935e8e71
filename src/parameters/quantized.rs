//! Parameters in fewer bytes, for inference.

use super::Parameters;
use crate::backend::{DenseParameter, PackedWeight, RowFormat, Table, WeightFormat};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use dlrm_kernels::quantized::INT8_MAX_INPUTS;

/// What parameters are stored as after [`Parameters::quantized`]; `None` is `f32`, as they are learned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quantization {
    /// The rows of tables (the reference's `--quantize-emb-with-bit`).
    pub tables: Option<RowFormat>,
    /// The weights of linear layers (the reference's `--quantize-mlp-with-bit`); biases stay `f32`.
    pub weights: Option<WeightFormat>,
}

impl Parameters {
    /// A copy of these parameters, of `f32`, with fewer bytes a number: for a forward pass, which any model makes
    /// with them as before. (Quantization after training: nothing is trained again.)
    ///
    /// A table keeps its `f32` where rows would become no shorter: 8 and 4 bits a number come with a scale and a
    /// minimum, which are longer than a row of one or two numbers. So do weights of rows (`D = 1`).
    ///
    /// # Errors
    /// [`Error::Config`], if a number is not finite, or larger than the format can say.
    ///
    /// # Panics
    /// If parameters are quantized already. Gradients and optimizers panic when they meet quantized ones.
    pub fn quantized(&self, quantization: Quantization) -> Result<Parameters> {
        let mut quantized = Parameters::new(self.backend.clone());
        for parameter in &self.dense {
            let value = parameter.value();
            match quantization.weights.filter(|_| value.shape().len() == 2) {
                Some(format) => quantized.dense.push(self.quantized_weight(parameter, format)?),
                None => {
                    quantized.add_dense(parameter.name(), Tensor::from_slice(&value.shape(), value.as_slice()));
                }
            }
        }
        for table in &self.tables {
            quantized.tables.push(self.quantized_table(table, quantization.tables)?);
        }
        Ok(quantized)
    }

    fn quantized_weight(&self, parameter: &DenseParameter, format: WeightFormat) -> Result<DenseParameter> {
        let (name, value) = (parameter.name(), parameter.value());
        check(name, value.as_slice(), format.name(), format.max_value())?;
        if format == WeightFormat::Int8 && value.cols() > INT8_MAX_INPUTS {
            let inputs = value.cols();
            return Err(Error::Config(format!("{name}: {inputs} inputs, and int8 sums up to {INT8_MAX_INPUTS}")));
        }
        let mut packed = PackedWeight::default();
        self.backend.pack_quantized(value, format, &mut packed);
        Ok(DenseParameter { name: name.into(), value: Tensor::hollow(&value.shape()), packed })
    }

    fn quantized_table(&self, table: &Table, format: Option<RowFormat>) -> Result<Table> {
        let dim = table.embedding_dim();
        let format = format.filter(|format| dim > 1 && format.row_bytes(dim) < table.row_bytes());
        if let Some(format) = format {
            check(table.name(), table.values(), format.name(), format.max_value())?;
        }
        Ok(self.backend.quantize_table(table, format))
    }

    /// Bytes of all parameters as they are stored; the packed copies that products with `f32` weights use come on
    /// top.
    pub fn stored_bytes(&self) -> usize {
        self.dense.iter().map(DenseParameter::stored_bytes).sum::<usize>()
            + self.tables.iter().map(Table::stored_bytes).sum::<usize>()
    }
}

/// Whether every number is finite, and none farther from 0 than `limit`.
fn check(name: &str, values: &[f32], format: &str, limit: f32) -> Result<()> {
    let fits = |v: &f32| v.abs() <= limit;
    // Chunks without a branch within, which become vectors.
    if values.chunks(1024).all(|chunk| chunk.iter().fold(true, |all, v| all & fits(v))) {
        return Ok(());
    }
    let at = values.iter().take_while(|v| fits(v)).count();
    Err(Error::Config(format!("{name}: number {at} is {}, and {format} holds numbers up to {limit:e}", values[at])))
}
