//! Where each fact stands in Stripe's JSON, through all API versions: the one table.
//!
//! `era` paths are written oldest to newest and tried from the newest, because old keys linger; when two
//! of them disagree the newest wins and the conflict is counted. `then` paths are alternatives in order of
//! preference, of which several may rightly differ. Null counts as missing and never ends the search. The
//! table is printed into `docs/stripe-paths.md` by a test.

/// One fact and where it is found.
#[derive(Debug, PartialEq, Eq)]
pub struct Fact {
    /// The object it belongs to, in Stripe's word.
    pub object: &'static str,
    /// Its name in ours.
    pub name: &'static str,
    /// Without it the event is quarantined.
    pub required: bool,
    /// Whether `paths` are eras, oldest first, or alternatives, preferred first.
    pub eras: bool,
    /// Keys joined by dots; a number is a place in a list.
    pub paths: &'static [&'static str],
    /// What its absence means.
    pub absent: &'static str,
}

/// One object's facts.
#[derive(Debug)]
pub struct Table {
    /// The object in Stripe's word.
    pub object: &'static str,
    /// Its facts in order.
    pub facts: &'static [&'static Fact],
}

macro_rules! required {
    (must) => {
        true
    };
    (may) => {
        false
    };
}
macro_rules! eras {
    (era) => {
        true
    };
    (then) => {
        false
    };
}

macro_rules! tables {
    ($($module:ident = $object:literal {
        $($name:ident: $required:ident $order:ident [$($path:literal),+] $absent:literal;)+
    })+) => {
        $(
            #[doc = concat!("Facts of `", $object, "`.")]
            pub mod $module {
                use super::Fact;
                $(
                    #[doc = concat!("Absent: ", $absent, ".")]
                    pub static $name: Fact = Fact {
                        object: $object,
                        name: stringify!($name),
                        required: required!($required),
                        eras: eras!($order),
                        paths: &[$($path),+],
                        absent: $absent,
                    };
                )+
                pub(super) static ALL: &[&Fact] = &[$(&$name),+];
            }
        )+
        /// Every table.
        pub static TABLES: &[Table] = &[$(Table { object: $object, facts: $module::ALL }),+];
    };
}

tables! {
    event = "event" {
        OBJECT: must era ["data.object"] "quarantined";
        PREVIOUS: may era ["data.previous_attributes"] "the event does not say what was before";
        RELATED: must era ["related_object.id"] "a thin event that names nothing is quarantined";
        TWIN: may era ["snapshot_event"] "no snapshot event is known to say the same";
    }
    subscription = "subscription" {
        ID: must era ["id"] "quarantined";
        CUSTOMER: must then ["customer", "customer_account"] "quarantined";
        STATUS: must era ["status"] "quarantined";
        ITEMS: may era ["items"] "the single plan of the oldest shape, else unknown: ours is kept and Stripe is asked";
        SINGLE_PLAN: may era ["plan"] "no item";
        PERIOD_START: may era ["current_period_start"] "the items say it (basil on), else unknown";
        PERIOD_END: may era ["current_period_end"] "the items say it (basil on), else unknown";
        CURRENCY: may era ["currency"] "that of the first price";
        STARTED: may then ["start_date", "start", "created"] "unknown";
        ANCHOR: may era ["billing_cycle_anchor"] "unknown";
        TRIAL_START: may era ["trial_start"] "the items say it (endive), else no trial";
        TRIAL_END: may era ["trial_end"] "the items say it (endive), else no trial";
        TRIAL_WITHOUT_CARD: may era ["trial_settings.end_behavior.missing_payment_method"] "create_invoice";
        CANCEL_AT_PERIOD_END: may era ["cancel_at_period_end"] "not scheduled";
        CANCEL_AT: may era ["cancel_at"] "not scheduled";
        CANCELED_AT: may era ["canceled_at"] "not canceled";
        ENDED_AT: may era ["ended_at"] "not ended";
        CANCEL_REASON: may era ["cancellation_details.reason"] "unknown";
        CANCEL_FEEDBACK: may era ["cancellation_details.feedback"] "unknown";
        PAUSE_REASON: may era ["status_details.paused.subscription.type"] "unknown";
        COLLECTION_PAUSE: may era ["pause_collection"] "collecting";
        COLLECTION_METHOD: may era ["billing", "collection_method"] "charge_automatically";
        DAYS_UNTIL_DUE: may era ["days_until_due"] "none";
        DISCOUNTS: may era ["discounts"] "the single discount of older shapes";
        SINGLE_DISCOUNT: may era ["discount"] "none";
        PENDING_UPDATE: may era ["pending_update"] "none";
        SCHEDULE: may era ["schedule"] "none";
        PAYMENT_METHOD: may then ["default_payment_method", "default_source"] "the customer's";
        TEST_CLOCK: may era ["test_clock"] "none";
        LATEST_INVOICE: may era ["latest_invoice"] "none yet";
        BILLING_MODE: may era ["billing_mode.type"] "classic";
        METADATA: may era ["metadata"] "no hint of the tenant";
    }
    item = "subscription item" {
        ID: may era ["id"] "`<subscription>#0` for the single plan of the oldest shape";
        PRICE: must era ["plan", "price"] "the item is unmapped: the items are unknown and Stripe is asked";
        PRODUCT: may era ["plan.product", "price.product"] "unknown";
        UNIT_AMOUNT: may era ["plan.amount", "price.unit_amount"] "tiered, custom or finer than a minor unit";
        UNIT_DECIMAL: may era ["plan.amount_decimal", "price.unit_amount_decimal"] "as the amount";
        CURRENCY: may era ["plan.currency", "price.currency"] "that of the subscription";
        INTERVAL: may era ["plan.interval", "price.recurring.interval"] "a one-off price";
        INTERVAL_COUNT: may era ["plan.interval_count", "price.recurring.interval_count"] "1";
        USAGE_TYPE: may era ["plan.usage_type", "price.recurring.usage_type"] "licensed";
        QUANTITY: may era ["quantity"] "none when metered, else 1";
        PERIOD_START: may era ["current_period_start"] "the subscription's (to acacia)";
        PERIOD_END: may era ["current_period_end"] "the subscription's (to acacia)";
        TRIAL_START: may era ["current_trial.start_date"] "the subscription's";
        TRIAL_END: may era ["current_trial.end_date"] "the subscription's";
    }
    applied_discount = "applied discount" {
        ID: may era ["id"] "unknown";
        COUPON: may era ["coupon", "source.coupon"] "unknown until `customer.discount.*` or a fetch";
    }
    schedule = "subscription_schedule" {
        ID: must era ["id"] "quarantined";
        CUSTOMER: must then ["customer", "customer_account"] "quarantined";
        STATUS: must era ["status"] "quarantined";
        SUBSCRIPTION: may then ["subscription", "released_subscription"] "not started yet";
        PHASES: may era ["phases"] "none";
        PHASE_START: must era ["start_date"] "quarantined";
        PHASE_END: may era ["end_date"] "open";
        PHASE_ITEMS: may era ["plans", "items"] "none";
        PHASE_PRICE: must era ["plan", "price"] "quarantined";
        PHASE_QUANTITY: may era ["quantity"] "unknown";
        END_BEHAVIOR: may era ["end_behavior"] "release";
        METADATA: may era ["metadata"] "no hint of the tenant";
    }
    customer = "customer" {
        ID: must era ["id"] "quarantined";
        DELETED: may era ["deleted"] "not deleted, unless the event says so";
        CURRENCY: may era ["currency"] "not billed yet";
        BALANCE: may era ["account_balance", "balance"] "unknown";
        DELINQUENT: may era ["delinquent"] "unknown";
        PAYMENT_METHOD: may then ["invoice_settings.default_payment_method", "default_source"] "none";
        TAX_EXEMPT: may era ["tax_exempt"] "unknown";
        DISCOUNT: may era ["discount"] "none";
        TEST_CLOCK: may era ["test_clock"] "none";
        METADATA: may era ["metadata"] "no hint of the tenant";
        NAME: may era ["name"] "unknown; kept in the side table only";
        EMAIL: may era ["email"] "unknown; kept in the side table only";
        PHONE: may era ["phone"] "unknown; kept in the side table only";
        ADDRESS: may era ["address"] "unknown; kept in the side table only";
        SHIPPING: may era ["shipping"] "unknown; kept in the side table only";
    }
    discount = "discount" {
        ID: may era ["id"] "named after what it is on";
        CUSTOMER: may then ["customer", "customer_account"] "belongs to no account: ignored";
        SUBSCRIPTION: may era ["subscription"] "it is on the customer";
        COUPON: may era ["coupon", "source.coupon"] "unknown";
        PROMOTION_CODE: may era ["promotion_code"] "none";
        START: may era ["start"] "unknown";
        END: may era ["end"] "it does not end by itself";
    }
    payment_method = "payment_method" {
        ID: must era ["id"] "quarantined";
        CUSTOMER: may then ["customer", "customer_account"] "detached: belongs to the customer it had before, else ignored";
        KIND: must era ["type"] "the word of a card or bank account of the older shapes, else quarantined";
        OBJECT: may era ["object"] "a payment method";
        BRAND: may era ["brand", "card.brand"] "unknown";
        LAST4: may era ["last4", "card.last4"] "unknown";
        EXP_MONTH: may era ["exp_month", "card.exp_month"] "unknown";
        EXP_YEAR: may era ["exp_year", "card.exp_year"] "unknown";
    }
    checkout = "checkout.session" {
        ID: must era ["id"] "quarantined";
        CUSTOMER: may then ["customer", "customer_account"] "a guest: ignored until it has one";
        MODE: may era ["mode"] "by what it made";
        STATUS: may era ["status"] "by the type of the event";
        PAYMENT_STATUS: may era ["payment_status"] "unknown";
        SUBSCRIPTION: may era ["subscription"] "none";
        INVOICE: may era ["invoice"] "none";
        PAYMENT_INTENT: may era ["payment_intent"] "none";
        SETUP_INTENT: may era ["setup_intent"] "none";
        AMOUNT_TOTAL: may era ["amount_total"] "none";
        CURRENCY: may era ["currency"] "none";
        EXPIRES_AT: may era ["expires_at"] "unknown";
        METADATA: may era ["metadata"] "no hint of the tenant";
        REFERENCE: may era ["client_reference_id"] "no hint of the tenant";
    }
    invoice = "invoice" {
        ID: must era ["id"] "the event's id for an upcoming invoice, else quarantined";
        CUSTOMER: must then ["customer", "customer_account"] "quarantined";
        SUBSCRIPTION: may era ["subscription", "parent.subscription_details.subscription"] "that of the first line with one, else a manual invoice";
        METADATA: may era ["subscription_details.metadata", "parent.subscription_details.metadata"] "no hint of the tenant";
        STATUS: may era ["status"] "by the flags of the oldest shapes";
        PAID: may era ["paid"] "by the status";
        CLOSED: may era ["closed"] "by the status";
        FORGIVEN: may era ["forgiven"] "by the status";
        ATTEMPTED: may era ["attempted"] "by the status";
        NUMBER: may era ["number"] "not finalized";
        BILLING_REASON: may era ["billing_reason"] "unknown";
        COLLECTION_METHOD: may era ["billing", "collection_method"] "unknown";
        CURRENCY: must era ["currency"] "quarantined";
        SUBTOTAL: may era ["subtotal"] "the total";
        TOTAL: must era ["total"] "quarantined";
        TOTAL_WITHOUT_TAX: may era ["total_excluding_tax"] "the tax is unknown";
        DISCOUNT_AMOUNTS: may era ["total_discount_amounts"] "zero";
        TAX: may era ["tax"] "total less total without tax";
        TAX_AMOUNTS: may era ["total_tax_amounts", "total_taxes"] "the single tax of older shapes";
        AMOUNT_DUE: must era ["amount_due"] "quarantined";
        AMOUNT_PAID: may era ["amount_paid"] "zero on a draft or preview, else quarantined";
        AMOUNT_REMAINING: may era ["amount_remaining"] "amount due less amount paid";
        AMOUNT_OVERPAID: may era ["amount_overpaid"] "zero";
        STARTING_BALANCE: may era ["starting_balance"] "zero";
        ENDING_BALANCE: may era ["ending_balance"] "not finalized";
        CREDITED_BEFORE: may era ["pre_payment_credit_notes_amount"] "zero";
        CREDITED_AFTER: may era ["post_payment_credit_notes_amount"] "zero";
        PAID_OUT_OF_BAND: may era ["paid_out_of_band"] "by the amount paid off Stripe";
        PAID_OFF_STRIPE: may era ["amount_paid_off_stripe"] "zero";
        ATTEMPT_COUNT: may era ["attempt_count"] "zero";
        NEXT_ATTEMPT: may era ["next_payment_attempt"] "Stripe will not try again";
        AUTO_ADVANCE: may era ["auto_advance"] "unknown";
        CREATED: may era ["date", "created"] "the event's time, marked approximate";
        DUE: may era ["due_date"] "charged, not sent";
        TRANSITIONS: may era ["status_transitions"] "the event's time, marked approximate";
        FINALIZED: may era ["finalized_at", "status_transitions.finalized_at"] "not finalized";
        PAID_AT: may era ["status_transitions.paid_at"] "not paid";
        VOIDED: may era ["status_transitions.voided_at"] "not voided";
        UNCOLLECTIBLE: may era ["status_transitions.marked_uncollectible_at"] "not written off";
        PERIOD_START: may era ["period_start"] "unknown";
        PERIOD_END: may era ["period_end"] "unknown";
        PAYMENT_INTENT: may era ["payment_intent", "payments.data.0.payment.payment_intent"] "unknown (basil on: by `invoice_payment.paid`)";
        CHARGE: may era ["charge", "payments.data.0.payment.charge"] "unknown (basil on: by `invoice_payment.paid`)";
        FINALIZATION_ERROR: may era ["last_finalization_error.code"] "none";
        LINES: may era ["lines"] "unknown";
    }
    line = "invoice line" {
        ID: may era ["id"] "named after its place on the invoice";
        AMOUNT: must era ["amount"] "the lines are unknown and Stripe is asked";
        KIND: may era ["type", "parent.type"] "an item";
        PRORATION: may era ["proration", "parent.invoice_item_details.proration", "parent.subscription_item_details.proration"] "false";
        DISCOUNT_AMOUNTS: may era ["discount_amounts"] "zero";
        TAX_AMOUNTS: may era ["tax_amounts", "taxes"] "none";
        PRICE: may era ["plan", "price", "pricing.price_details.price"] "a one-off line";
        USAGE_TYPE: may era ["plan.usage_type", "price.recurring.usage_type"] "licensed, or the price's (basil on)";
        QUANTITY: may era ["quantity"] "1";
        QUANTITY_DECIMAL: may era ["quantity_decimal"] "the whole quantity";
        SUBSCRIPTION: may era ["subscription", "parent.invoice_item_details.subscription", "parent.subscription_item_details.subscription"] "none";
        ITEM: may era ["subscription_item", "parent.subscription_item_details.subscription_item"] "none";
        PERIOD_START: must era ["period.start"] "the lines are unknown and Stripe is asked, because revenue needs it";
        PERIOD_END: must era ["period.end"] "the lines are unknown and Stripe is asked, because revenue needs it";
    }
    invoice_payment = "invoice_payment" {
        ID: must era ["id"] "quarantined";
        INVOICE: must era ["invoice"] "quarantined";
        PAYMENT_INTENT: may era ["payment.payment_intent"] "none";
        CHARGE: may era ["payment.charge"] "none";
        AMOUNT_PAID: may era ["amount_paid"] "unknown";
        CURRENCY: may era ["currency"] "unknown";
        STATUS: may era ["status"] "by the type of the event";
        PAID_AT: may era ["status_transitions.paid_at"] "not paid";
    }
    charge = "charge" {
        ID: must era ["id"] "quarantined";
        CUSTOMER: may then ["customer", "customer_account"] "found by its payment or invoice, else ignored";
        PAYMENT_INTENT: may era ["payment_intent"] "none";
        INVOICE: may era ["invoice"] "unknown, which is not none (basil on)";
        AMOUNT: must era ["amount"] "quarantined";
        CAPTURED_AMOUNT: may era ["amount_captured"] "unknown";
        REFUNDED_AMOUNT: may era ["amount_refunded"] "zero";
        CURRENCY: must era ["currency"] "quarantined";
        STATUS: may era ["status"] "`paid` decides, else quarantined";
        PAID: may era ["paid"] "the status decides";
        CAPTURED: may era ["captured"] "unknown";
        DISPUTED: may then ["disputed", "dispute"] "not disputed";
        BALANCE_TRANSACTION: may era ["balance_transaction"] "no money moved yet";
        FAILURE_CODE: may era ["failure_code"] "not failed";
        DECLINE_REASON: may era ["outcome.reason"] "unknown";
        PAYMENT_METHOD: may era ["source", "payment_method"] "unknown";
        METHOD_TYPE: may era ["source.object", "payment_method_details.type"] "unknown";
        CARD_BRAND: may era ["source.brand", "payment_method_details.card.brand"] "unknown";
        CARD_LAST4: may era ["source.last4", "payment_method_details.card.last4"] "unknown";
        CREATED: may era ["created"] "unknown";
        REFUNDS: may era ["refunds"] "proves nothing: refunds come by themselves";
    }
    payment_intent = "payment_intent" {
        ID: must era ["id"] "quarantined";
        STATUS: must era ["status"] "quarantined";
        CUSTOMER: may then ["customer", "customer_account"] "a guest";
        INVOICE: may era ["invoice"] "unknown (basil on)";
        LATEST_CHARGE: may era ["charges.data.0", "latest_charge"] "no charge yet";
    }
    refund = "refund" {
        ID: must era ["id"] "quarantined";
        CHARGE: may era ["charge"] "found by its payment";
        PAYMENT_INTENT: may era ["payment_intent"] "found by its charge";
        CUSTOMER: may then ["customer", "customer_account"] "found by its charge (to 2026-07-28)";
        AMOUNT: must era ["amount"] "quarantined";
        CURRENCY: must era ["currency"] "quarantined";
        STATUS: may era ["status"] "succeeded";
        REASON: may era ["reason"] "unknown";
        FAILURE_REASON: may era ["failure_reason"] "unknown";
        BALANCE_TRANSACTION: may era ["balance_transaction"] "no money moved yet";
        FAILURE_TRANSACTION: may era ["failure_balance_transaction"] "did not fail";
        CREATED: may era ["created"] "unknown";
    }
    dispute = "dispute" {
        ID: may era ["id"] "named after its charge";
        CHARGE: must era ["charge"] "quarantined";
        PAYMENT_INTENT: may era ["payment_intent"] "found by its charge";
        AMOUNT: must era ["amount"] "quarantined";
        CURRENCY: must era ["currency"] "quarantined";
        STATUS: must era ["status"] "quarantined";
        REASON: may era ["reason"] "unknown";
        DUE: may era ["evidence_details.due_by"] "no answer is wanted";
        MOVEMENTS: may era ["balance_transactions"] "no funds moved yet";
        MOVEMENT_NET: must era ["net"] "quarantined";
        MOVEMENT_FEE: must era ["fee"] "quarantined";
        CREATED: may era ["created"] "unknown";
    }
    credit_note = "credit_note" {
        ID: must era ["id"] "quarantined";
        CUSTOMER: may then ["customer", "customer_account"] "found by its invoice";
        INVOICE: must era ["invoice"] "quarantined";
        NUMBER: may era ["number"] "unknown";
        AMOUNT: must era ["amount"] "quarantined";
        TAX_AMOUNTS: may era ["tax_amounts", "total_taxes"] "zero";
        CURRENCY: must era ["currency"] "quarantined";
        STATUS: may era ["status"] "by the type of the event";
        KIND: may era ["type"] "unknown";
        REASON: may era ["reason"] "unknown";
        OUT_OF_BAND: may era ["out_of_band_amount"] "zero";
        TO_BALANCE: may era ["customer_balance_transaction"] "nothing to the balance";
        REFUND: may era ["refund"] "none";
        REFUNDS: may era ["refunds"] "the single refund of older shapes";
        VOIDED: may era ["voided_at"] "not voided";
        CREATED: may era ["created"] "unknown";
    }
    payout = "payout" {
        ID: must era ["id"] "quarantined";
        AMOUNT: must era ["amount"] "quarantined";
        CURRENCY: must era ["currency"] "quarantined";
        STATUS: must era ["status"] "quarantined";
        AUTOMATIC: may era ["automatic"] "unknown";
        KIND: may era ["type"] "unknown";
        ARRIVAL: may then ["arrival_date", "date"] "unknown";
        BALANCE_TRANSACTION: may era ["balance_transaction"] "unknown";
        FAILURE_CODE: may era ["failure_code"] "did not fail";
        FAILURE_TRANSACTION: may era ["failure_balance_transaction"] "did not fail";
        ORIGINAL: may era ["original_payout"] "reverses none";
        REVERSED_BY: may era ["reversed_by"] "not reversed";
        RECONCILIATION: may era ["reconciliation_status"] "unknown";
        CREATED: may era ["created"] "unknown";
    }
    product = "product" {
        ID: must era ["id"] "quarantined";
        NAME: may era ["name"] "unknown";
        ACTIVE: may era ["active"] "unknown";
        DELETED: may era ["deleted"] "not deleted, unless the event says so";
        DEFAULT_PRICE: may era ["default_price"] "none";
    }
    price = "price" {
        ID: must era ["id"] "quarantined";
        PRODUCT: may era ["product"] "unknown";
        ACTIVE: may era ["active"] "unknown";
        DELETED: may era ["deleted"] "not deleted, unless the event says so";
        CURRENCY: may era ["currency"] "unknown";
        UNIT_AMOUNT: may era ["amount", "unit_amount"] "tiered, custom or finer than a minor unit";
        UNIT_DECIMAL: may era ["amount_decimal", "unit_amount_decimal"] "as the amount";
        INTERVAL: may era ["interval", "recurring.interval"] "a one-off price";
        INTERVAL_COUNT: may era ["interval_count", "recurring.interval_count"] "1";
        USAGE_TYPE: may era ["usage_type", "recurring.usage_type"] "licensed";
        TIERS_MODE: may era ["tiers_mode"] "not tiered";
        LOOKUP_KEY: may era ["lookup_key"] "none";
        NICKNAME: may era ["nickname"] "none";
        TAX_BEHAVIOR: may era ["tax_behavior"] "unspecified";
    }
    coupon = "coupon" {
        ID: must era ["id"] "quarantined";
        PERCENT: may era ["percent_off"] "an amount";
        AMOUNT: may era ["amount_off"] "a percentage";
        CURRENCY: may era ["currency"] "none";
        DURATION: may era ["duration"] "unknown";
        MONTHS: may era ["duration_in_months"] "not repeating";
        VALID: may era ["valid"] "unknown";
        DELETED: may era ["deleted"] "not deleted, unless the event says so";
    }
    promotion_code = "promotion_code" {
        ID: must era ["id"] "quarantined";
        CODE: may era ["code"] "unknown";
        COUPON: may era ["coupon", "promotion.coupon"] "unknown";
        ACTIVE: may era ["active"] "unknown";
    }
    tax_rate = "tax_rate" {
        ID: must era ["id"] "quarantined";
        PERCENTAGE: may era ["percentage"] "unknown";
        INCLUSIVE: may era ["inclusive"] "unknown";
        JURISDICTION: may era ["jurisdiction"] "unknown";
        ACTIVE: may era ["active"] "unknown";
    }
    balance_transactions = "page of balance_transactions" {
        ROWS: may era ["data"] "the object itself is the one row";
        PAYOUT: may era ["payout"] "not asked for by payout";
    }
    balance_transaction = "balance_transaction" {
        ID: must era ["id"] "quarantined";
        AMOUNT: must era ["amount"] "quarantined";
        FEE: must era ["fee"] "quarantined";
        NET: must era ["net"] "quarantined, as it is when it is not amount less fee";
        CURRENCY: must era ["currency"] "quarantined";
        KIND: must era ["type"] "quarantined";
        SOURCE: may era ["source"] "moved by nothing with an id";
        CATEGORY: may era ["reporting_category"] "unknown";
        AVAILABLE: may era ["available_on"] "unknown";
        CREATED: may era ["created"] "as of the fetch";
    }
    amount_row = "tax or discount row" {
        AMOUNT: must era ["amount"] "quarantined";
    }
    credit_refund = "credit note refund row" {
        REFUND: may era ["refund"] "unknown";
    }
    collection_pause = "pause_collection" {
        BEHAVIOR: must era ["behavior"] "quarantined";
        RESUMES: may era ["resumes_at"] "until it is resumed";
    }
}
