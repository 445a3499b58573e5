//! Requests about customers and the hosted pages.

use aggregates::ids::{CheckoutSessionId, CustomerId, PaymentMethodId, TenantId};
use stripe_billing::billing_portal_session::{
    CreateBillingPortalSession, CreateBillingPortalSessionFlowData, CreateBillingPortalSessionFlowDataAfterCompletion,
    CreateBillingPortalSessionFlowDataAfterCompletionRedirect, CreateBillingPortalSessionFlowDataSubscriptionCancel,
    CreateBillingPortalSessionFlowDataSubscriptionUpdate, CreateBillingPortalSessionFlowDataSubscriptionUpdateConfirm,
    CreateBillingPortalSessionFlowDataSubscriptionUpdateConfirmItems,
};
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionAutomaticTax, CreateCheckoutSessionCustomerUpdate,
    CreateCheckoutSessionDiscounts, CreateCheckoutSessionLineItems, CreateCheckoutSessionSubscriptionData,
    CreateCheckoutSessionSubscriptionDataTrialSettings,
    CreateCheckoutSessionSubscriptionDataTrialSettingsEndBehavior as AtTrialEnd, CreateCheckoutSessionTaxIdCollection,
    ExpireCheckoutSession,
};
use stripe_client_core::StripeRequest;
use stripe_core::customer::{CreateCustomer, UpdateCustomer, UpdateCustomerInvoiceSettings};

use super::{Prepared, metadata, metadata_of, segment, word};
use crate::stripe::gateway::IntentId;
use crate::stripe::gateway::call::{Checkout, DiscountSource, Portal, PortalFlow};

pub(super) fn create(
    intent: IntentId,
    tenant: Option<&TenantId>,
    name: &Option<String>,
    email: &Option<String>,
) -> Prepared {
    let mut request = CreateCustomer::new().metadata(metadata_of(intent, tenant));
    if let Some(name) = name {
        request = request.name(name);
    }
    if let Some(email) = email {
        request = request.email(email);
    }
    Prepared::of(request.build())
}

pub(super) fn update(
    intent: IntentId,
    customer: &CustomerId,
    name: &Option<String>,
    email: &Option<String>,
    default_payment_method: Option<&PaymentMethodId>,
) -> Prepared {
    let mut request = UpdateCustomer::new(segment(customer.as_str())).metadata(metadata(intent));
    if let Some(name) = name {
        request = request.name(name);
    }
    if let Some(email) = email {
        request = request.email(email);
    }
    if let Some(method) = default_payment_method {
        let mut settings = UpdateCustomerInvoiceSettings::new();
        settings.default_payment_method = Some(method.to_string());
        request = request.invoice_settings(settings);
    }
    Prepared::of(request.build())
}

pub(super) fn checkout(intent: IntentId, checkout: &Checkout) -> Prepared {
    let items = checkout.items.iter().map(|item| {
        let mut line = CreateCheckoutSessionLineItems::new();
        line.price = Some(item.price.to_string());
        line.quantity = item.quantity;
        line
    });
    let mut bought = CreateCheckoutSessionSubscriptionData::new();
    bought.metadata = Some(metadata_of(intent, checkout.tenant.as_ref()));
    bought.trial_period_days = checkout.trial_days;
    bought.trial_settings = checkout
        .without_card
        .map(|without| CreateCheckoutSessionSubscriptionDataTrialSettings::new(AtTrialEnd::new(word::<
            stripe_checkout::checkout_session::CreateCheckoutSessionSubscriptionDataTrialSettingsEndBehaviorMissingPaymentMethod,
        >(without.as_str()))));
    let mut request = CreateCheckoutSession::new()
        .mode(word::<stripe_shared::CheckoutSessionMode>("subscription"))
        .customer(checkout.customer.as_str())
        .line_items(items.collect::<Vec<_>>())
        .subscription_data(bought)
        .metadata(metadata(intent))
        .success_url(&checkout.success_url);
    if let Some(tenant) = &checkout.tenant {
        request = request.client_reference_id(tenant.as_str());
    }
    if let Some(url) = &checkout.cancel_url {
        request = request.cancel_url(url);
    }
    if let Some(discount) = &checkout.discount {
        let mut less = CreateCheckoutSessionDiscounts::new();
        match discount {
            DiscountSource::Coupon(id) => less.coupon = Some(id.to_string()),
            DiscountSource::PromotionCode(id) => less.promotion_code = Some(id.to_string()),
        }
        request = request.discounts(vec![less]);
    } else if checkout.promotion_codes {
        request = request.allow_promotion_codes(true);
    }
    let collection = if checkout.card_up_front {
        "always"
    } else {
        "if_required"
    };
    request = request.payment_method_collection(word::<
        stripe_checkout::checkout_session::CreateCheckoutSessionPaymentMethodCollection,
    >(collection));
    if checkout.address_required {
        request = request.billing_address_collection(word::<stripe_shared::CheckoutSessionBillingAddressCollection>(
            "required",
        ));
    }
    // A tax id and an address typed on the page are kept on the customer; Stripe asks that this be said.
    let mut kept = CreateCheckoutSessionCustomerUpdate::new();
    if checkout.tax_ids {
        request = request.tax_id_collection(CreateCheckoutSessionTaxIdCollection::new(true));
        kept.name = Some(word("auto"));
    }
    if checkout.automatic_tax {
        request = request.automatic_tax(CreateCheckoutSessionAutomaticTax::new(true));
        kept.address = Some(word("auto"));
    }
    if checkout.tax_ids || checkout.automatic_tax {
        request = request.customer_update(kept);
    }
    Prepared::of(request.build())
}

pub(super) fn expire_checkout(session: &CheckoutSessionId) -> Prepared {
    Prepared::of(ExpireCheckoutSession::new(segment(session.as_str())).build())
}

pub(super) fn portal(portal: &Portal) -> Prepared {
    let mut request = CreateBillingPortalSession::new()
        .customer(portal.customer.as_str())
        .return_url(&portal.return_url);
    if let Some(configuration) = &portal.configuration {
        request = request.configuration(configuration);
    }
    if let Some(flow) = &portal.flow {
        request = request.flow_data(flow_data(flow, &portal.return_url));
    }
    Prepared::of(request.build())
}

fn flow_data(flow: &PortalFlow, return_url: &str) -> CreateBillingPortalSessionFlowData {
    let kind = match flow {
        PortalFlow::PaymentMethod => "payment_method_update",
        PortalFlow::Cancel { .. } => "subscription_cancel",
        PortalFlow::ChangePlan { .. } => "subscription_update",
        PortalFlow::ConfirmChange { .. } => "subscription_update_confirm",
    };
    let mut request = CreateBillingPortalSessionFlowData::new(word::<
        stripe_billing::billing_portal_session::CreateBillingPortalSessionFlowDataType,
    >(kind));
    match flow {
        PortalFlow::PaymentMethod => {}
        PortalFlow::Cancel { subscription } => {
            let cancel = CreateBillingPortalSessionFlowDataSubscriptionCancel::new(subscription.as_str());
            request.subscription_cancel = Some(cancel);
        }
        PortalFlow::ChangePlan { subscription } => {
            let change = CreateBillingPortalSessionFlowDataSubscriptionUpdate::new(subscription.as_str());
            request.subscription_update = Some(change);
        }
        PortalFlow::ConfirmChange {
            subscription,
            item,
            price,
            quantity,
        } => {
            let mut wanted = CreateBillingPortalSessionFlowDataSubscriptionUpdateConfirmItems::new(item.as_str());
            wanted.price = Some(price.to_string());
            wanted.quantity = *quantity;
            let confirm =
                CreateBillingPortalSessionFlowDataSubscriptionUpdateConfirm::new(vec![wanted], subscription.as_str());
            request.subscription_update_confirm = Some(confirm);
        }
    }
    // When the one thing is done there is nothing left to do in the portal.
    let mut done = CreateBillingPortalSessionFlowDataAfterCompletion::new(word::<
        stripe_billing::billing_portal_session::CreateBillingPortalSessionFlowDataAfterCompletionType,
    >("redirect"));
    done.redirect = Some(CreateBillingPortalSessionFlowDataAfterCompletionRedirect::new(
        return_url,
    ));
    request.after_completion = Some(done);
    request
}
