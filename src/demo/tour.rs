//! What there is to look at, as lines to paste, each with what it will show.

use super::cast::Part;

/// The text printed when the demo is ready. `base` has no slash at the end.
#[must_use]
pub fn text(base: &str, key: &str, directory: &str, cast: &[Part]) -> String {
    let mut text = "\nThe tenants of this ledger:\n".to_owned();
    for part in cast {
        text.push_str(&format!(
            "  {:<14}{}\n",
            part.tenant.unwrap_or("(unassigned)"),
            part.plot
        ));
    }
    text.push_str(&format!(
        "\nAPI        {base}\nIts pages  {base}/docs (and the document: {base}/openapi.json)\nFiles      {directory}\n\n\
         The admin key of this ledger, shown only now. Paste this line first:\n  export KEY={key}\n\nThen, for instance:\n"
    ));
    for (what, path) in LOOKS {
        text.push_str(&format!(
            "\n# {what}\ncurl -s -H \"Authorization: Bearer $KEY\" '{base}{path}'\n"
        ));
    }
    text.push_str(&format!(
        "\n# Give the unassigned account to a tenant:\n{}\n",
        assign(base)
    ));
    text.push_str("\nCtrl-C stops it.\n");
    text
}

/// What to look at, and where.
const LOOKS: [(&str, &str); 9] = [
    (
        "aurora: active on Team, paid since its trial ended",
        "/v1/tenants/aurora/subscription",
    ),
    ("borealis: what Enterprise grants", "/v1/tenants/borealis/entitlements"),
    (
        "cascade: 5 seats now, and the history that led there",
        "/v1/tenants/cascade/subscription/history",
    ),
    ("ember: past_due, access in grace", "/v1/tenants/ember/subscription"),
    (
        "fjord: back on the free plan and its limits",
        "/v1/tenants/fjord/quotas",
    ),
    (
        "delta: the invoice that failed first and was paid",
        "/v1/tenants/delta/subscription/history",
    ),
    ("Accounts nobody has assigned yet", "/v1/unassigned-accounts"),
    (
        "The log: the newest events of glacier, its dispute among them",
        "/v1/audit/events?tenant=glacier&limit=10",
    ),
    (
        "Every webhook ended in a recorded outcome",
        "/v1/webhook-inbox?limit=10",
    ),
];

fn assign(base: &str) -> String {
    format!(
        "curl -s -X POST -H \"Authorization: Bearer $KEY\" -H 'Content-Type: application/json' \\\n  \
         -d '{{\"tenant\":\"harbor\",\"reason\":\"named by sales\"}}' '{base}/v1/unassigned-accounts/cus_demo_unknown/assign'"
    )
}

#[cfg(test)]
mod tests {
    use super::super::cast::everybody;
    use super::*;

    #[test]
    fn every_line_that_names_a_tenant_names_one_of_the_cast() {
        let cast = everybody(1_800_000_000);
        let text = text("http://127.0.0.1:8080", "subl_test_x", "/tmp/x", &cast);
        for part in LOOKS.iter().filter_map(|(_, path)| path.strip_prefix("/v1/tenants/")) {
            let tenant = part.split('/').next().unwrap();
            assert!(cast.iter().any(|part| part.tenant == Some(tenant)), "{tenant}");
        }
        assert!(text.contains("export KEY=subl_test_x") && text.contains("/docs"));
    }
}
