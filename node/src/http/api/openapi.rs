//! The OpenAPI document of the administration interface, made from the table of routes.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::route::{Answer, Holds, Listing, Need, PREFIX, Param, Route, of, status};
use super::table::ROUTES;

/// The body of every error.
#[derive(schemars::JsonSchema)]
#[allow(dead_code, reason = "only its schema is used")]
struct Errors {
    errors: Vec<ErrorEntry>,
}

#[derive(schemars::JsonSchema)]
#[allow(dead_code, reason = "only its schema is used")]
struct ErrorEntry {
    /// A word for programs.
    code: String,
    /// For people.
    message: String,
}

/// The document, of a node of this version.
pub(crate) fn document(version: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let errors = of::<Errors>(&mut generator).to_value();
    let mut paths = Map::new();
    for route in ROUTES {
        let operation = operation(route, &mut generator, &errors);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = operation;
    }
    let mut tags: Vec<_> = ROUTES.iter().map(|route| route.tag).collect();
    tags.sort_unstable();
    tags.dedup();
    let tags: Vec<_> = tags.into_iter().map(|tag| json!({ "name": tag })).collect();
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Portolan", "version": version, "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" } },
        "servers": [{ "url": PREFIX }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "basic": { "type": "http", "scheme": "basic" },
                "bearer": { "type": "http", "scheme": "bearer" },
                "session": { "type": "apiKey", "in": "cookie", "name": "sid" },
            },
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator, errors: &Value) -> Value {
    let mut parameters: Vec<_> = route.variables().map(path_parameter).collect();
    if route.path.contains("{project_name_or_id}") {
        parameters.push(json!({
            "name": "X-Is-Resource-Name", "in": "header", "schema": { "type": "boolean", "default": false },
            "description": "Whether a project of digits is a name and not a number.",
        }));
    }
    parameters.extend(route.params.iter().chain(&route.last_param).map(query_parameter));
    parameters.extend(list_parameters(route.listing));
    let mut responses = Map::new();
    responses.insert(status(route).as_str().to_owned(), success(route, generator));
    for (status, meaning) in refusals(route) {
        let content = json!({ "application/json": { "schema": errors } });
        responses.insert(status.to_owned(), json!({ "description": meaning, "content": content }));
    }
    let mut operation = json!({
        "operationId": route.operation.as_str(),
        "tags": [route.tag],
        "summary": route.summary,
        "description": need(route.need),
        "parameters": parameters,
        "responses": responses,
        "security": security(route.need),
    });
    if let Some(body) = route.body {
        let schema = body(generator).to_value();
        operation["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    operation
}

fn path_parameter(name: &str) -> Value {
    let description = if name == "repository_name" {
        "The repository without its project; its slashes are encoded twice (%252F)."
    } else {
        "One segment, percent-encoded once."
    };
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" }, "description": description })
}

fn query_parameter(param: &Param) -> Value {
    let holds = match param.holds {
        Holds::Text => "string",
        Holds::Number => "integer",
        Holds::Flag => "boolean",
    };
    json!({ "name": param.name, "in": "query", "required": param.required, "schema": { "type": holds } })
}

fn list_parameters(listing: Listing) -> Vec<Value> {
    let mut parameters = Vec::new();
    if listing == Listing::Queried {
        let text = json!({ "type": "string" });
        let q = "Which items: k=v, k=~v, k=[min~max], k={v1 v2}, k=(v1 v2), between commas.";
        parameters.push(json!({ "name": "q", "in": "query", "schema": text, "description": q }));
        let sort = "In what order: key,-key.";
        parameters.push(json!({ "name": "sort", "in": "query", "schema": text, "description": sort }));
    }
    if listing != Listing::No {
        let page = json!({ "type": "integer", "default": 1 });
        let size = json!({ "type": "integer", "default": super::q::PAGE_SIZE, "maximum": super::q::MAX_PAGE_SIZE });
        parameters.push(json!({ "name": "page", "in": "query", "schema": page }));
        parameters.push(json!({ "name": "page_size", "in": "query", "schema": size }));
    }
    parameters
}

fn success(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut response = json!({ "description": "It went well." });
    let content = match route.answer {
        Answer::Empty => None,
        Answer::Json(schema) => Some(("application/json", schema(generator).to_value())),
        Answer::List(item) => {
            Some(("application/json", json!({ "type": "array", "items": item(generator).to_value() })))
        }
        Answer::Text => Some(("text/plain", json!({ "type": "string" }))),
        Answer::File => Some(("application/octet-stream", json!({}))),
    };
    if let Some((kind, schema)) = content {
        response["content"] = json!({ kind: { "schema": schema } });
    }
    if route.listing != Listing::No {
        response["headers"] = json!({
            "X-Total-Count": { "schema": { "type": "integer" }, "description": "Number of items of the whole list." },
            "Link": { "schema": { "type": "string" }, "description": "The pages before and after." },
        });
    }
    if route.created {
        response["headers"] =
            json!({ "Location": { "schema": { "type": "string" }, "description": "Where what was made is." } });
    }
    response
}

fn refusals(route: &Route) -> Vec<(&'static str, &'static str)> {
    let mut all = Vec::new();
    let asks = route.body.is_some() || route.listing != Listing::No || !route.params.is_empty();
    if asks {
        all.push(("400", "The request can't be read."));
    }
    if route.need != Need::Nothing {
        all.push(("401", "A login would help."));
        all.push(("403", "This account may not."));
    }
    if route.variables().next().is_some() {
        all.push(("404", "It is not there."));
    }
    if matches!(route.method, "POST" | "PUT") && route.body.is_some() {
        all.push(("409", "It is there already."));
    }
    if route.method == "DELETE" {
        all.push(("412", "Something else has to be done first."));
    }
    if route.listing != Listing::No || route.variables().next().is_some() {
        all.push(("422", "A parameter is out of its range."));
    }
    all.push(("500", "This node failed."));
    all
}

/// What it takes, in words.
pub(crate) fn need(need: Need) -> String {
    match need {
        Need::Nothing => "Anyone.".into(),
        Need::LoggedIn => "Any account.".into(),
        Need::Administrator => "The system administrator.".into(),
        Need::System(right) => format!("`{right}` over the system."),
        Need::Project(right) => format!("`{right}` in the project."),
        Need::Handler => "Depends on what is asked for.".into(),
    }
}

fn security(need: Need) -> Value {
    match need {
        Need::Nothing => json!([]),
        Need::LoggedIn | Need::Administrator | Need::System(_) | Need::Project(_) => {
            json!([{ "basic": [] }, { "bearer": [] }, { "session": [] }])
        }
        // Some of these answer the anonymous too.
        Need::Handler => json!([{}, { "basic": [] }, { "bearer": [] }, { "session": [] }]),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::reference::assert_written;

    fn references(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                into.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, into));
            }
            Value::Array(all) => all.iter().for_each(|value| references(value, into)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn the_reference_is_what_the_code_says() {
        let text = serde_json::to_string_pretty(&document(env!("CARGO_PKG_VERSION"))).unwrap();
        assert_written("docs/reference/openapi.json", &format!("{text}\n"));
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_is_there() {
        let document = document("1");
        let mut all = BTreeSet::new();
        references(&document, &mut all);
        assert!(all.len() > 40);
        for reference in all {
            assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
        }
        for route in ROUTES {
            let operation = &document["paths"][route.path][route.method.to_ascii_lowercase()];
            assert_eq!(operation["operationId"], route.operation.as_str());
        }
    }

    #[test]
    fn secrets_are_only_taken() {
        let schemas = document("1")["components"]["schemas"].clone();
        assert_eq!(schemas["UserCreationReq"]["properties"]["password"]["writeOnly"], true);
        assert!(schemas["Robot"]["properties"].get("secret").is_none());
        assert_eq!(schemas["UserCreationReq"]["additionalProperties"], false);
    }
}
