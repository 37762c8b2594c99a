//! The group of rules that lets the world in: without one of its own, an instance is behind a closed door.

use super::query::{Call, Query, is_refused};
use crate::providers::json::text;
use crate::providers::{Error, Progress, Result};

/// What the group is called.
const GROUP: &str = "cloudtool";
/// SSH, and what apps are reached by.
const PORTS: [&str; 3] = ["22", "80", "443"];

/// The parameters of an order that put the instance into our group, which is made when it is missing, and into the `subnet` if one
/// is said. Where that is not allowed, the account's default group has to do; `progress` is told.
///
/// Errors: of the API, but for missing permissions; [`Error::Refused`] when there is no such subnet.
pub fn place(query: &Query, subnet: Option<&str>, progress: &dyn Progress) -> Result<Vec<(&'static str, String)>> {
    let network = subnet.map(|id| network_of(query, id)).transpose()?;
    let mut place: Vec<_> = subnet.map(|id| ("SubnetId", id.to_owned())).into_iter().collect();
    match group(query, network.as_deref()) {
        Ok(id) if network.is_some() => place.push(("SecurityGroupId.1", id)),
        Ok(_) => place.push(("SecurityGroup.1", GROUP.into())),
        Err(error) if is_forbidden(&error) => progress.warning(&format!(
            "The node gets the default security group, which may not let SSH in: the group {GROUP} cannot be made ({error})."
        )),
        Err(error) => return Err(error),
    }
    Ok(place)
}

fn network_of(query: &Query, subnet: &str) -> Result<String> {
    let call = Call::new("DescribeSubnets").list("SubnetId", &[subnet]);
    let found = query.list(&call, "subnetSet")?;
    found.first().and_then(|subnet| text(subnet, "vpcId")).ok_or_else(|| query.0.lacks("DescribeSubnets", "vpcId"))
}

/// The id of our group, in a network or in the default one.
fn group(query: &Query, network: Option<&str>) -> Result<String> {
    if let Some(id) = find(query, network)? {
        return Ok(id);
    }
    let call = Call::new("CreateSecurityGroup")
        .with("GroupName", GROUP)
        .with("GroupDescription", "SSH and HTTP for nodes of cloudtool");
    let call = match network {
        Some(id) => call.with("VpcId", id),
        None => call,
    };
    let made = match query.read(&call) {
        // Another order makes it at the same time, and its rules.
        Err(error) if is_refused(&error, "InvalidGroup.Duplicate") => return find(query, network)?.ok_or(error),
        made => made?,
    };
    let id = text(&made, "groupId").ok_or_else(|| query.0.lacks("CreateSecurityGroup", "groupId"))?;
    let rules = PORTS.iter().zip(1..).fold(
        Call::new("AuthorizeSecurityGroupIngress").with("GroupId", &id),
        |call, (port, number)| {
            let rule = format!("IpPermissions.{number}");
            call.with(&format!("{rule}.IpProtocol"), "tcp")
                .with(&format!("{rule}.FromPort"), *port)
                .with(&format!("{rule}.ToPort"), *port)
                .with(&format!("{rule}.IpRanges.1.CidrIp"), "0.0.0.0/0")
        },
    );
    if let Err(error) = query.read(&rules) {
        // Without its rules it would be taken for a finished one the next time.
        let _ = query.read(&Call::new("DeleteSecurityGroup").with("GroupId", &id));
        return Err(error);
    }
    Ok(id)
}

fn find(query: &Query, network: Option<&str>) -> Result<Option<String>> {
    let call = Call::new("DescribeSecurityGroups");
    let call = match network {
        Some(id) => call.filter("vpc-id", &[id]).filter("group-name", &[GROUP]),
        None => call.list("GroupName", &[GROUP]),
    };
    let found = match query.list(&call, "securityGroupInfo") {
        Err(error) if is_refused(&error, "InvalidGroup.NotFound") => Vec::new(),
        found => found?,
    };
    Ok(found.first().and_then(|group| text(group, "groupId")))
}

fn is_forbidden(error: &Error) -> bool {
    matches!(error, Error::Refused(refusal) if refusal.reason == crate::providers::http::Reason::Forbidden)
}
