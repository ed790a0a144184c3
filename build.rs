//! Build script of `freeradius-module`: finds the server's headers, compiles the C shim, binds it for Rust.
//!
//! Without the feature `server` there is nothing to do, and no FreeRADIUS is needed.

fn main() {
    println!("cargo::rerun-if-changed=../build.rs");
    #[cfg(feature = "server")]
    if let Err(sentence) = server::build() {
        eprintln!("error: {sentence}");
        std::process::exit(1);
    }
}

#[cfg(feature = "server")]
mod server {
    use std::path::{Path, PathBuf};
    use std::{env, fs};

    /// Names the directory that holds `freeradius/modules.h`.
    const INCLUDE_DIR_VARIABLE: &str = "FREERADIUS_INCLUDE_DIR";
    const INCLUDE_DIRS: [&str; 2] = ["/usr/include", "/usr/local/include"];
    /// Releases the packet tests have been run on.
    const TESTED: [&str; 2] = ["3.2.1", "3.2.10"];

    pub(crate) fn build() -> Result<(), String> {
        println!("cargo::rerun-if-env-changed={INCLUDE_DIR_VARIABLE}");
        println!("cargo::rerun-if-changed=include");
        println!("cargo::rerun-if-changed=shim");
        let include = find_headers()?;
        let version = Version::read(&include.join("freeradius"))?;
        if !TESTED.contains(&version.text.as_str()) {
            println!(
                "cargo::warning=FreeRADIUS {} is not among the releases this module is tested on ({})",
                version.text,
                TESTED.join(", ")
            );
        }
        let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: run this through cargo")?);
        compile_shim(&include)?;
        bind_shim(&include, &out)?;
        println!("cargo::rustc-env=RLM_RUST_SERVER_VERSION={}", version.text);
        // The server closes its modules before its last thread is gone; our threads must not lose their code.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
        Ok(())
    }

    fn find_headers() -> Result<PathBuf, String> {
        let marker = |dir: &Path| dir.join("freeradius/modules.h").is_file();
        if let Some(named) = env::var_os(INCLUDE_DIR_VARIABLE).map(PathBuf::from) {
            return Some(named.clone()).filter(|dir| marker(dir)).ok_or_else(|| {
                format!(
                    "{INCLUDE_DIR_VARIABLE} is {}, and there is no freeradius/modules.h in it.",
                    named.display()
                )
            });
        }
        INCLUDE_DIRS
            .into_iter()
            .map(PathBuf::from)
            .find(|dir| marker(dir))
            .ok_or_else(|| {
                format!(
                    "the FreeRADIUS headers are missing (no freeradius/modules.h in {}): install the Debian package \
                 libfreeradius-dev, or set {INCLUDE_DIR_VARIABLE}.",
                    INCLUDE_DIRS.join(" or ")
                )
            })
    }

    /// Release the headers belong to.
    struct Version {
        text: String,
    }

    impl Version {
        fn read(headers: &Path) -> Result<Self, String> {
            for name in ["autoconf.h", "features.h"] {
                let path = headers.join(name);
                println!("cargo::rerun-if-changed={}", path.display());
                let text = fs::read_to_string(&path).unwrap_or_default();
                let found = text.lines().find_map(|line| {
                    let value = line.trim().strip_prefix("#define RADIUSD_VERSION_STRING")?;
                    Some(value.trim().trim_matches('"').to_owned())
                });
                match found {
                    Some(text) if text.starts_with("3.2.") => return Ok(Self { text }),
                    Some(text) => {
                        return Err(format!(
                            "{} belongs to FreeRADIUS {text}, and this module is for 3.2.x.",
                            path.display()
                        ));
                    }
                    None => {}
                }
            }
            Err(format!(
                "no header in {} says which FreeRADIUS release it belongs to (RADIUSD_VERSION_STRING): install the \
                 Debian package libfreeradius-dev anew.",
                headers.display()
            ))
        }
    }

    /// What both compilers are told. Our stand-ins come last, so that a complete set of headers is used as it is.
    fn clang_arguments(include: &Path) -> Vec<String> {
        vec![
            format!("-I{}", include.display()),
            "-Iinclude".to_owned(),
            "-idirafter".to_owned(),
            "include/compat".to_owned(),
            "-include".to_owned(),
            "freeradius/build.h".to_owned(),
        ]
    }

    fn compile_shim(include: &Path) -> Result<(), String> {
        let mut shim = cc::Build::new();
        shim.files(["shim/rlm_rust.c", "shim/pairs.c", "shim/reply.c"])
            .std("gnu11")
            .warnings(true)
            .extra_warnings(true);
        for argument in clang_arguments(include) {
            shim.flag(argument);
        }
        shim.try_compile("rlm_rust_shim").map_err(|why| {
            format!(
                "the C shim does not compile against the headers in {} (Debian packages gcc, libc6-dev, libssl-dev): \
                 {why}",
                include.display()
            )
        })
    }

    fn bind_shim(include: &Path, out: &Path) -> Result<(), String> {
        let builder = bindgen::Builder::default()
            .header("include/shim.h")
            .clang_args(clang_arguments(include))
            .allowlist_type("module_t|CONF_PARSER|rlm_components|PW_TYPE|rlm_rust_(value|item)_t")
            .allowlist_type("rlm_rcode_t|pair_lists_t|request_refs_t|log_type_t|log_lvl_t")
            .allowlist_var("PW_TYPE_(SECRET|REQUIRED|SUBSECTION)|RLM_TYPE_THREAD_SAFE|RLM_RUST_MAGIC")
            .allowlist_function("rlm_rust_.*|radius_(list|list_ctx|request|xlat_struct|pairmove)|paircompare")
            .allowlist_function("debug_enabled|radlog_debug_enabled|dict_walk|fr_pair_list_free|fr_strerror")
            .allowlist_function("cf_item_(find_next|is_section|is_pair|to_section|to_pair)|cf_pair_(find|attr)")
            .allowlist_function("cf_section_(name1|name2|sub_find)")
            // Fields of these are read in C only.
            .blocklist_type("value_pair|VALUE_PAIR|dict_attr|DICT_ATTR|rad_request|REQUEST")
            .raw_line("#[repr(C)]\npub struct VALUE_PAIR {\n    _opaque: [u8; 0],\n}")
            .raw_line("#[repr(C)]\npub struct DICT_ATTR {\n    _opaque: [u8; 0],\n}")
            .raw_line("#[repr(C)]\npub struct REQUEST {\n    _opaque: [u8; 0],\n}")
            .prepend_enum_name(false)
            .use_core()
            .layout_tests(true)
            .generate_comments(false)
            .wrap_unsafe_ops(true)
            .rust_edition(bindgen::RustEdition::Edition2024);
        // Without libclang bindgen panics where it would better return.
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let generated = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| builder.generate()));
        std::panic::set_hook(hook);
        generated
            .map_err(|_| {
                "libclang is missing, which binds the FreeRADIUS headers for Rust: install the Debian package \
                 libclang-14-dev, or set LIBCLANG_PATH."
                    .to_owned()
            })?
            .map_err(|why| format!("the FreeRADIUS headers in {} cannot be bound: {why}", include.display()))?
            .write_to_file(out.join("bindings.rs"))
            .map_err(|why| format!("cannot write the bindings to {}: {why}", out.display()))
    }
}
