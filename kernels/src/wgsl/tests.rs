use super::*;
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ResourceBinding, StorageAccess};

fn parse(shader: &Shader) -> Module {
    naga::front::wgsl::parse_str(shader.source)
        .unwrap_or_else(|e| panic!("{}", e.emit_to_string_with_path(shader.source, shader.name)))
}

/// What a shader may use: nothing that an adapter may lack, unless its name or a line says so.
fn capabilities(shader: &Shader) -> Capabilities {
    let f16 = shader.source.lines().any(|line| line == "enable f16;");
    let more = [(f16, Capabilities::SHADER_FLOAT16), (shader.name.ends_with("_subgroups"), Capabilities::SUBGROUP)];
    more.iter().filter(|(is, _)| *is).fold(Capabilities::default(), |all, &(_, one)| all | one)
}

#[test]
fn every_shader_is_valid_and_as_it_is_listed() {
    for shader in ALL {
        let module = parse(shader);
        let mut validator = Validator::new(ValidationFlags::all(), capabilities(shader));
        let info = validator.validate(&module).unwrap_or_else(|e| panic!("{}: {e:?}", shader.name));
        let entry = module.entry_points.iter().position(|e| e.name == shader.entry);
        let entry = entry.unwrap_or_else(|| panic!("{}: no function {}", shader.name, shader.entry));
        let uses = info.get_entry_point(entry);
        let mut buffers = Vec::new();
        for (handle, variable) in module.global_variables.iter() {
            let Some(ResourceBinding { group, binding }) = variable.binding else { continue };
            assert_eq!(group, 0, "{}", shader.name);
            match variable.space {
                AddressSpace::Uniform => {
                    let size = module.types[variable.ty].inner.size(module.to_ctx());
                    assert!(binding == 0 && size as usize <= PARAMS_BYTES, "{}: {binding}, {size}", shader.name);
                }
                AddressSpace::Storage { .. } if uses[handle].is_empty() => {}
                AddressSpace::Storage { access } => {
                    let written = access.contains(StorageAccess::STORE);
                    buffers.push((binding, if written { Access::Write } else { Access::Read }));
                }
                space => panic!("{}: {space:?}", shader.name),
            }
        }
        buffers.sort_by_key(|&(binding, _)| binding);
        let listed: Vec<_> = (1..).zip(shader.buffers.iter().copied()).collect();
        assert_eq!(buffers, listed, "{}: bindings", shader.name);
        assert!(buffers.len() <= 8, "{}: WebGPU has 8 storage buffers a stage", shader.name);
    }
}

#[test]
fn every_file_is_listed_and_says_what_it_does() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("wgsl");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let source = std::fs::read_to_string(&path).unwrap();
        assert!(ALL.iter().any(|shader| shader.name == name && shader.source == source), "{name}");
        for said in ["// Bindings: 0 Params;", "// Grid: ", "// Intensity: "] {
            assert!(source.contains(said), "{name}: {said}");
        }
    }
}

#[test]
fn tiles_of_linear_layers_are_as_they_are_listed() {
    let [rows, columns, step] = LINEAR_TILE;
    let text = format!("const TILE = {rows}u;\nconst STEP = {step}u;\n");
    let narrow = |shader: &&Shader| shader.name.contains("_narrow");
    let products =
        || ALL.iter().filter(|shader| shader.name.starts_with("linear_") && shader.name != "linear_sum_slices");
    for shader in products().filter(|shader| !narrow(shader)) {
        assert!(rows == columns && shader.source.contains(&text), "{}", shader.name);
        assert_eq!(parse(shader).entry_points[0].workgroup_size, [16, 16, 1], "{}", shader.name);
    }
    for shader in products().filter(narrow) {
        assert_eq!(parse(shader).entry_points[0].workgroup_size, [LINEAR_NARROW as u32, 1, 1], "{}", shader.name);
    }
}

/// Rounding is tested by one rule's steps on a device, and is the same for all.
#[test]
fn rows_of_f16_are_rounded_alike() {
    let rounded = |shader: &Shader| {
        let start = shader.source.find("// PCG as a hash").unwrap_or_else(|| panic!("{}: no hash", shader.name));
        let end = shader.source.find("@compute").unwrap();
        shader.source[start..end].to_owned()
    };
    for shader in [ADAGRAD_ROWS_F16, ROWWISE_ADAGRAD_ROWS_F16, ADAM_ROWS_F16] {
        assert_eq!(rounded(&shader), rounded(&SGD_ROWS_F16), "{}", shader.name);
    }
}
