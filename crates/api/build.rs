//! Builds the web app of `web/` and embeds it.
//!
//! `SORI_WEB_DIST=DIR` embeds a directory that was built before; `SORI_WEB=skip` embeds a page that says that the app is
//! not there. Without either, npm builds it in cargo's own directory: nothing is written into the tree.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

const SKIPPED: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>sori</title>\
<p>This binary was built without the web app (SORI_WEB=skip). Its API is at <a href=\"/api/openapi.yaml\">/api/openapi.yaml</a>; \
build it without that variable for the console.</p></html>\n";

fn main() {
    for variable in ["SORI_WEB", "SORI_WEB_DIST"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where to write"));
    let done = match env::var_os("SORI_WEB_DIST") {
        Some(dist) => {
            let dist = PathBuf::from(dist);
            println!("cargo::rerun-if-changed={}", dist.display());
            embed(&dist, &out)
        }
        None if env::var("SORI_WEB").is_ok_and(|v| v == "skip") => skip(&out),
        None => build(&out).and_then(|dist| embed(&dist, &out)),
    };
    if let Err(why) = done {
        for line in why.lines() {
            println!("cargo::error={line}");
        }
        std::process::exit(1);
    }
}

fn skip(out: &Path) -> Result<(), String> {
    let page = out.join("skipped");
    fs::create_dir_all(&page).map_err(|e| told(&page, &e))?;
    fs::write(page.join("index.html"), SKIPPED).map_err(|e| told(&page, &e))?;
    embed(&page, out)
}

/// Copies the sources and lets npm work on the copy; yields the directory with the result.
fn build(out: &Path) -> Result<PathBuf, String> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where we are"));
    let web = here.join("../../web");
    if !web.join("package.json").exists() {
        return Err(format!(
            "the web app is not in {}: take the whole source tree, or set SORI_WEB=skip to build without it",
            web.display()
        ));
    }
    let copy = out.join("web");
    for old in ["src", "public"] {
        let _ = fs::remove_dir_all(copy.join(old));
    }
    let entries = fs::read_dir(&web).map_err(|e| told(&web, &e))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        if matches!(
            name.to_str(),
            Some("node_modules" | "dist" | ".svelte-kit" | ".cache")
        ) {
            continue;
        }
        println!("cargo::rerun-if-changed={}", entry.path().display());
        copy_all(&entry.path(), &copy.join(&name))?;
    }
    let lock = fs::read(web.join("package-lock.json")).map_err(|e| told(&web, &e))?;
    let installed = copy.join("installed-lock.json");
    if fs::read(&installed).ok().as_deref() != Some(&lock[..]) {
        npm(
            &copy,
            &["ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        )?;
        fs::write(&installed, &lock).map_err(|e| told(&installed, &e))?;
    }
    let _ = fs::remove_dir_all(copy.join("dist"));
    npm(&copy, &["run", "build"])?;
    Ok(copy.join("dist"))
}

fn npm(dir: &Path, arguments: &[&str]) -> Result<(), String> {
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let output = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .env("NO_COLOR", "1")
        .output()
        .map_err(|error| {
            format!(
                "the web app cannot be built: npm does not run ({error}).\n\
                 Install Node.js 18 or newer with npm: apt-get install nodejs npm (scripts/setup run does it),\n\
                 or set SORI_WEB=skip to build without the console, or SORI_WEB_DIST=DIR to embed one that is built."
            )
        })?;
    if output.status.success() {
        return Ok(());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Err(format!(
        "npm {} failed in {} ({}):\n{}{}",
        arguments.join(" "),
        dir.display(),
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    ))
}

fn copy_all(from: &Path, to: &Path) -> Result<(), String> {
    if !from.is_dir() {
        let parent = to.parent().unwrap_or(to);
        fs::create_dir_all(parent).map_err(|e| told(parent, &e))?;
        return fs::copy(from, to).map(drop).map_err(|e| told(from, &e));
    }
    for entry in fs::read_dir(from).map_err(|e| told(from, &e))?.flatten() {
        copy_all(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Writes `assets.rs`: a table of the files of `dist`.
fn embed(dist: &Path, out: &Path) -> Result<(), String> {
    let mut files = Vec::new();
    list(dist, "", &mut files)?;
    files.sort();
    if !files.iter().any(|(name, _)| name == "index.html") {
        return Err(format!(
            "there is no index.html in {}: is it a built web app?",
            dist.display()
        ));
    }
    let zipped = out.join("zipped");
    let _ = fs::remove_dir_all(&zipped);
    fs::create_dir_all(&zipped).map_err(|e| told(&zipped, &e))?;
    let mut table = String::from("static ASSETS: &[Asset] = &[\n");
    for (number, (name, path)) in files.iter().enumerate() {
        let plain = fs::read(path).map_err(|e| told(path, &e))?;
        let kept = zipped.join(format!("{number}"));
        fs::write(&kept, &plain).map_err(|e| told(&kept, &e))?;
        let small = gzip(&plain);
        let gzip = if small.len() < plain.len() {
            let path = zipped.join(format!("{number}.gz"));
            fs::write(&path, small).map_err(|e| told(&path, &e))?;
            format!("Some(include_bytes!({path:?}))")
        } else {
            "None".to_owned()
        };
        let _ = writeln!(
            table,
            "    Asset {{ path: {name:?}, kind: {:?}, hashed: {}, plain: include_bytes!({kept:?}), gzip: {gzip} }},",
            kind(name),
            name.starts_with("assets/"),
        );
    }
    let built_in = env::var("SORI_WEB").map_or(true, |v| v != "skip");
    let _ = writeln!(table, "];\nconst BUILT_IN: bool = {built_in};");
    let path = out.join("assets.rs");
    fs::write(&path, table).map_err(|e| told(&path, &e))
}

fn list(dir: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> Result<(), String> {
    for entry in fs::read_dir(dir).map_err(|e| told(dir, &e))?.flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            list(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.push((name, entry.path()));
        }
    }
    Ok(())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing into memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "webmanifest" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn told(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
