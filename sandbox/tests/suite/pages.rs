//! Pages, whoever has typed what: escaped, without script, closed to other sites.

use sandbox::{Call, Sandbox, State};

use crate::browse::{Browse, Shown, card, form, local};
use crate::support::{Ask, fresh, id, settings};

const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>&amp;";

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[test]
fn hostile_values_show_as_text() {
    let mut state = fresh();
    let hostile = encoded(HOSTILE);
    let product = id(&state.post("/v1/products", &format!("name={hostile}")));
    let price = id(&state.post(
        "/v1/prices",
        &format!("product={product}&currency=usd&unit_amount=1500"),
    ));
    let customer = id(&state.post(
        "/v1/customers",
        &format!("name={hostile}&email={}", encoded(&format!("{HOSTILE}@a.b"))),
    ));
    state.post("/v1/coupons", &format!("id=C&percent_off=5&name={hostile}"));
    let lines = format!(
        "line_items[0][price]={price}&line_items[0][quantity]=1&line_items[0][adjustable_quantity][enabled]=true"
    );
    let url = encoded("https://host.example/?q=\"><script>alert(1)</script>");
    let made = state.post(
        "/v1/checkout/sessions",
        &format!("mode=payment&{lines}&customer={customer}&discounts[0][coupon]=C&success_url={url}&cancel_url={url}"),
    );
    let path = local(made["url"].as_str().unwrap());
    // `Shown` refuses any script, handler, style and address of a script; and the text is all there.
    let page = state.open(&path);
    assert!(
        page.text().contains("<script>alert(1)</script>")
            && page.policy.contains("form-action 'self' https://host.example;")
    );
    let mut fields = vec![
        ("act", "pay"),
        ("name", HOSTILE),
        ("card[exp_month]", HOSTILE),
        ("card[number]", HOSTILE),
    ];
    fields.extend([("card[exp_year]", HOSTILE), ("card[cvc]", HOSTILE)]);
    let page = Shown::of(&state.send(&path, &fields));
    assert_eq!(
        page.input("name").get("value").replace("&amp;", "&"),
        HOSTILE.replace("&amp;", "&")
    );
    for path in [
        "/c/pay/%3Cscript%3E",
        "/p/session/%22%3E%3Cscript%3E",
        "/invoices/%3Cscript%3E",
        "/l/%3Cscript%3E",
    ] {
        let reply = state.ask(&Call::new("GET", path));
        assert_eq!(Shown::of(&reply).status, 404);
        assert!(!String::from_utf8_lossy(&reply.body).contains("<script>"), "{path}");
    }
    let made = state.post(
        "/v1/billing_portal/sessions",
        &format!("customer={customer}&return_url={url}"),
    );
    let path = local(made["url"].as_str().unwrap());
    assert!(state.open(&path).text().contains("<script>alert(1)</script>"));
    state.open(&format!("{path}?done={}", encoded("<script>")));
    let page = Shown::of(&state.send(
        &format!("{path}/customer_update"),
        &[("email", HOSTILE), ("name", HOSTILE)],
    ));
    assert!(page.text().contains("Invalid email address"));
    let page = Shown::of(&state.send(&format!("{path}/customer_update"), &[("<script>", "1")]));
    assert!(page.text().contains("Received unknown parameter"), "{}", page.text());
}

#[test]
fn another_site_may_link_and_not_post() {
    let mut state = fresh();
    let customer = id(&state.post("/v1/customers", "email=ana@example.com"));
    let made = state.post("/v1/billing_portal/sessions", &format!("customer={customer}"));
    let path = local(made["url"].as_str().unwrap());
    let foreign = Call::new("GET", &path).header("sec-fetch-site", "cross-site");
    assert_eq!(state.ask(&foreign).status, 200);
    for path in [format!("{path}/customer_update"), "/_sandbox/clock".to_owned()] {
        let foreign = Call::new("POST", &path).header("sec-fetch-site", "cross-site");
        assert_eq!(state.ask(&foreign.form("email=b@example.com")).status, 403, "{path}");
    }
    assert_eq!(
        state.get(&format!("/v1/customers/{customer}"))["email"],
        "ana@example.com"
    );
}

#[tokio::test]
async fn pages_are_served_with_their_style() {
    let sandbox = Sandbox::new(State::new(settings(3)));
    let running = sandbox.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let base = format!("http://{}", running.address());
    let made = {
        let mut state = sandbox.state();
        let call = crate::support::call(
            "POST",
            "/v1/checkout/sessions",
            "mode=setup&success_url=https://host.example/",
        );
        state.apply(&call).value()
    };
    let url = made["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with(&base), "{url} is where it is served");
    let style = crate::browse::fetch("GET", &format!("{base}/assets/pages.css"), "").await;
    assert_eq!(
        (style.status, style.headers["content-type"].as_str()),
        (200, "text/css; charset=utf-8")
    );
    let page = Shown::of(&crate::browse::fetch("GET", &url, "").await);
    assert!(page.html.contains("/assets/pages.css"));
    let mut fields = vec![("act", "pay"), ("email", "ana@example.com")];
    fields.extend(card("4242424242424242"));
    let reply = crate::browse::fetch("POST", &url, &form(&fields)).await;
    assert_eq!(
        (reply.status, reply.headers["location"].as_str()),
        (303, "https://host.example/")
    );
    running.stop().await;
}

/// How light a colour is, as WCAG reckons it.
#[expect(clippy::float_arithmetic, reason = "WCAG's own formula")]
fn luminance(colour: &str) -> f64 {
    let part = |at: usize| {
        let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
}

#[test]
fn every_colour_can_be_read_in_both_looks() {
    let mut state = fresh();
    let style = state.ask(&Call::new("GET", "/assets/pages.css"));
    let style = String::from_utf8(style.body).unwrap();
    let tables: Vec<&str> = style
        .split(":root {")
        .skip(1)
        .map(|table| table.split('}').next().unwrap())
        .collect();
    assert_eq!(tables.len(), 2, "light and dark");
    for table in tables {
        let colour = |name: &str| {
            let value = table.split(&format!("--{name}: ")).nth(1);
            value
                .unwrap_or_else(|| panic!("no {name} in {table}"))
                .split(';')
                .next()
                .unwrap()
                .to_owned()
        };
        let mut pairs = vec![
            ("act-text", "act", 4.5),
            ("ribbon-text", "ribbon", 4.5),
            ("text", "bad-back", 4.5),
            ("text", "good-back", 4.5),
        ];
        for back in ["page", "card"] {
            pairs.extend(["text", "mute", "act", "bad", "good", "warn", "note"].map(|front| (front, back, 4.5)));
            pairs.push(("line", back, 3.0));
        }
        for (front, back, least) in pairs {
            let (a, b) = (luminance(&colour(front)), luminance(&colour(back)));
            let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
            assert!(contrast >= least, "{front} on {back}: {contrast:.2}");
        }
    }
}
