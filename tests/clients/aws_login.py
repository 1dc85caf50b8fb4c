"""Configures an aws auth method with hvac, and logs in to it with hvac's own signatures.

    aws_login.py ADDRESS TOKEN STS_ENDPOINT SERVER_ID USER_KEY USER_SECRET ROLE_KEY ROLE_SECRET ROLE_SESSION_TOKEN
"""

import sys

import hvac
from hvac.exceptions import InvalidRequest

ADDRESS, TOKEN, ENDPOINT, SERVER_ID, USER_KEY, USER_SECRET, ROLE_KEY, ROLE_SECRET, SESSION = sys.argv[1:]
ACCOUNT = "123456789012"


def login(role, key, secret, session=None, header_value=SERVER_ID):
    """The display name of the token that a login earned."""
    client = hvac.Client(url=ADDRESS)
    client.auth.aws.iam_login(key, secret, session, header_value=header_value, role=role)
    assert client.is_authenticated()
    return client.auth.token.lookup_self()["data"]["display_name"]


def main():
    root = hvac.Client(url=ADDRESS, token=TOKEN)
    aws = root.auth.aws
    aws.configure(sts_endpoint=ENDPOINT, iam_server_id_header_value=SERVER_ID)
    config = aws.read_config()
    assert config["sts_endpoint"] == ENDPOINT and "secret_key" not in config, config
    aws.configure_identity_integration(iam_alias="unique_id")
    assert aws.read_identity_integration()["iam_alias"] == "unique_id"
    aws.create_role("hvac-user", auth_type="iam", bound_iam_principal_arn=[f"arn:aws:iam::{ACCOUNT}:user/user"], policies=["default"], ttl="20m")
    aws.create_role("hvac-role", auth_type="iam", bound_iam_principal_arn=[f"arn:aws:iam::{ACCOUNT}:role/*"])
    role = aws.read_role("hvac-user")
    assert role["token_ttl"] == 1200 and role["resolve_aws_unique_ids"] is False, role
    assert {"hvac-user", "hvac-role"} <= set(aws.list_roles()["keys"])
    names = (login("hvac-user", USER_KEY, USER_SECRET), login("hvac-role", ROLE_KEY, ROLE_SECRET, SESSION))
    for wrong in [
        dict(role="hvac-user", key=USER_KEY, secret="wrong"),
        dict(role="hvac-role", key=USER_KEY, secret=USER_SECRET),
        dict(role="hvac-user", key=USER_KEY, secret=USER_SECRET, header_value=None),
    ]:
        try:
            login(**wrong)
        except InvalidRequest:
            continue
        raise AssertionError(f"{wrong['role']} let somebody in")
    aws.delete_role("hvac-user")
    aws.delete_role("hvac-role")
    print("hvac logged in as {} and {}".format(*names))


if __name__ == "__main__":
    main()
