"""People and their accounts: who is let in, what they set up for themselves, and who manages them."""

from __future__ import annotations

import httpx
import pyotp
import pytest

from service.audit.verify import Whole, verify
from service.roles import PERMISSIONS, Permission, Role
from tests.service.house import PASSWORD, House, open_house

NEW = "twelve louder radiographs"


def sign_in(house: House, **body: str) -> httpx.Response:
    return house.client(**{"X-Pandok": "1"}).post("/api/sign-in", json=body)


def login_of(person: httpx.Client) -> str:
    return str(person.get("/api/me").json()["login"])


def code_of(house: House, secret: str, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(int(house.clock()) + 30 * steps)


def with_codes(house: House, person: httpx.Client) -> str:
    """Set up one-time codes for a person; returns the secret."""
    assert person.post("/api/me/confirm", json={"password": PASSWORD}).status_code == 204
    secret = str(person.post("/api/me/totp").json()["secret"])
    assert person.post("/api/me/totp/confirm", json={"code": code_of(house, secret)}).status_code == 204
    house.clock.advance(30)
    return secret


def audited(house: House) -> list[str]:
    with house.database.reading() as rx:
        assert isinstance(verify(rx), Whole)
        return [row[0] for row in rx.exec_driver_sql("SELECT action FROM audit_event ORDER BY id")]


def test_a_person_signs_in_with_login_and_password(house: House) -> None:
    house.new_account(Role.RADIOLOGIST, login="kim@example.kr")

    assert sign_in(house, login=" Kim@Example.KR ", password=PASSWORD).status_code == 204
    assert audited(house)[-1] == "sign_in"


def test_me_tells_who_is_signed_in_and_what_they_may(house: House) -> None:
    person, _ = house.account(Role.SITE_PHYSICIAN)

    me = person.get("/api/me").json()

    assert me["role"] == "site_physician"
    assert me["permissions"] == sorted(PERMISSIONS[Role.SITE_PHYSICIAN])
    assert me["site"]["code"] == "one"
    assert (me["must"], me["has_password"], me["has_totp"], me["confirmed_until"]) == ([], True, False, None)
    assert me["sign_in"] == {"password": True, "oidc": False}
    assert me["now"] == house.clock()


def test_who_has_no_password_chooses_one_before_anything_else(house: House) -> None:
    admin = house.signed_in()
    added = admin.post("/api/accounts", json={"login": "an", "name": "An", "role": "radiologist", "language": "vi"})
    assert added.status_code == 201
    person = house.client(**{"X-Pandok": "1"})
    token = added.json()["link"].partition("#token=")[2]
    assert person.post("/api/sign-in", json={"token": token}).status_code == 204

    assert person.get("/api/me").json()["must"] == ["set_password"]
    for method, path in [("GET", "/api/worklist"), ("GET", "/dicomweb/studies"), ("PUT", "/api/me/preferences")]:
        answer = person.request(method, path, json={} if method == "PUT" else None)
        assert (answer.status_code, answer.json()["error"]) == (403, "set_password_first")
    old_cookie = person.cookies["pandok"]
    assert person.put("/api/me/password", json={"new": NEW}).status_code == 204

    assert person.get("/api/worklist").status_code == 200
    assert person.get("/api/me").json()["confirmed_until"] == house.clock() + 30 * 60
    assert house.client(Cookie=f"pandok={old_cookie}").get("/api/me").status_code == 401
    assert sign_in(house, login="an", password=NEW).status_code == 204


@pytest.mark.parametrize(
    "weak",
    [
        "short", "elevenchars", "x" * 129, "aaaaaaaaaaaaaaaa", "123456789012", "password12345", "qwertyuiop12",
        "person-1person-1", "пароль123456", "비밀번호비밀번호12", "iloveyouforever",
    ],
)  # fmt: skip
def test_a_password_that_others_guess_first_is_not_taken(house: House, weak: str) -> None:
    person = house.signed_in()

    answer = person.put("/api/me/password", json={"current": PASSWORD, "new": weak})

    assert (answer.status_code, answer.json()["error"]) == (400, "weak_password")
    assert weak not in answer.text


@pytest.mark.parametrize("good", ["tiny purple lamp", "오늘은 비가 온다 그래도", "x7#kQ2!vLm9z", "гуляю под дождём"])
def test_a_sentence_in_any_language_is_taken(house: House, good: str) -> None:
    person = house.signed_in()
    login = login_of(person)

    assert person.put("/api/me/password", json={"current": PASSWORD, "new": good}).status_code == 204
    assert sign_in(house, login=login, password=good).status_code == 204
    assert sign_in(house, login=login, password=PASSWORD).status_code == 401


def test_a_password_change_needs_the_current_one_and_ends_every_session(house: House) -> None:
    person, account_id = house.account(Role.RADIOLOGIST)
    elsewhere = house.browser(account_id)

    assert person.put("/api/me/password", json={"new": NEW}).status_code == 403
    assert person.put("/api/me/password", json={"current": "wrong", "new": NEW}).json()["error"] == "wrong_password"
    assert person.put("/api/me/password", json={"current": PASSWORD, "new": NEW}).status_code == 204

    assert elsewhere.get("/api/me").status_code == 401
    assert person.get("/api/me").status_code == 200
    assert audited(house)[-2:] == ["password_set", "sign_in"]


def test_a_code_is_asked_for_and_counts_once(house: House) -> None:
    person = house.signed_in(Role.RADIOLOGIST)
    login, secret = login_of(person), with_codes(house, person)

    missing = sign_in(house, login=login, password=PASSWORD)
    code = code_of(house, secret)
    answers = [sign_in(house, login=login, password=PASSWORD, code=code).status_code for _ in range(2)]

    assert (missing.status_code, missing.json()["error"]) == (401, "totp_required")
    assert answers == [204, 401]
    house.clock.advance(30)
    assert sign_in(house, login=login, password=PASSWORD, code=code_of(house, secret)).status_code == 204


def test_a_code_of_another_minute_or_secret_is_none(house: House) -> None:
    person = house.signed_in(Role.RADIOLOGIST)
    login, secret = login_of(person), with_codes(house, person)

    for code in (code_of(house, secret, -2), code_of(house, secret, 2), code_of(house, pyotp.random_base32())):
        assert sign_in(house, login=login, password=PASSWORD, code=code).status_code == 401


def test_the_secret_is_shown_once_as_a_picture_and_kept_sealed(house: House) -> None:
    person = house.signed_in()
    assert person.post("/api/me/totp").json()["error"] == "confirm_first"
    person.post("/api/me/confirm", json={"password": PASSWORD})

    shown = person.post("/api/me/totp").json()

    assert shown["qr_svg"].startswith("<svg")
    assert shown["secret"] in shown["uri"]
    kept = b"".join(path.read_bytes() for path in house.settings.data_folder.glob("pandok.db*"))
    assert shown["secret"].encode() not in kept
    assert house.settings.seal_file.stat().st_mode & 0o777 == 0o600
    assert person.get("/api/me").json()["has_totp"] is False  # not before its first right code
    assert person.post("/api/me/totp/confirm", json={"code": "000000"}).json()["error"] == "wrong_code"


def test_codes_go_only_with_the_password_and_a_code(house: House) -> None:
    person = house.signed_in(Role.RADIOLOGIST)
    secret = with_codes(house, person)

    def remove(**body: str) -> str:
        answer = person.request("DELETE", "/api/me/totp", json=body)
        return "done" if answer.status_code == 204 else str(answer.json()["error"])

    assert remove(password="wrong", code=code_of(house, secret)) == "wrong_password"
    assert remove(password=PASSWORD) == "totp_required"
    assert remove(password=PASSWORD, code=code_of(house, secret)) == "done"
    assert person.get("/api/me").json()["has_totp"] is False


def test_a_link_of_an_account_with_codes_asks_for_one(house: House) -> None:
    person, account_id = house.account(Role.RADIOLOGIST)
    secret, token = with_codes(house, person), house.token(account_id)

    assert sign_in(house, token=token).json()["error"] == "totp_required"
    assert sign_in(house, token=token, code="123456").status_code == 401
    assert sign_in(house, token=token, code=code_of(house, secret)).status_code == 204


def test_roles_that_must_have_codes_set_them_up_first(tmp_path: object) -> None:
    with open_house(tmp_path, totp_roles=frozenset({Role.RADIOLOGIST})) as house:  # type: ignore[arg-type]
        reader, uploader = house.signed_in(Role.RADIOLOGIST), house.signed_in(Role.SITE_UPLOADER)

        assert uploader.get("/api/me").json()["must"] == []
        assert reader.get("/api/me").json()["must"] == ["set_totp"]
        assert reader.get("/api/worklist").json()["error"] == "set_totp_first"
        assert reader.post("/api/me/confirm", json={"password": PASSWORD}).status_code == 204
        with_codes(house, reader)
        assert reader.get("/api/worklist").status_code == 200


def test_a_confirmation_counts_for_half_an_hour_and_for_one_session(house: House) -> None:
    person, account_id = house.account(Role.RADIOLOGIST)
    elsewhere = house.browser(account_id)

    wrong = person.post("/api/me/confirm", json={"password": "wrong"})
    assert (wrong.status_code, wrong.json()["error"]) == (403, "wrong_password")
    assert person.post("/api/me/confirm", json={"password": PASSWORD}).status_code == 204

    assert person.get("/api/me").json()["confirmed_until"] == house.clock() + 30 * 60
    assert elsewhere.get("/api/me").json()["confirmed_until"] is None


def test_preferences_are_ones_own(house: House) -> None:
    person, other = house.signed_in(), house.signed_in()

    wanted = {"language": "vi", "time_zone": "Asia/Ho_Chi_Minh", "preferences": {"keys": {"worklist.next": "n"}}}
    assert person.put("/api/me/preferences", json=wanted).status_code == 204

    me = person.get("/api/me").json()
    assert {name: me[name] for name in wanted} == wanted
    assert other.get("/api/me").json()["preferences"] == {}
    assert person.put("/api/me/preferences", json={"time_zone": "Mars/Olympus"}).status_code == 400
    assert person.put("/api/me/preferences", json={"language": "xx"}).status_code == 400
    assert person.put("/api/me/preferences", json={"preferences": {"x": "y" * 40_000}}).status_code == 400


def test_an_administrator_adds_changes_and_disables(house: House) -> None:
    admin = house.signed_in()
    body = {"login": "Le@Site.vn", "name": "Lê An", "role": "site_physician", "site": "one"}

    added = admin.post("/api/accounts", json=body).json()["account"]
    assert (added["login"], added["site"], added["language"], added["time_zone"]) == (
        "le@site.vn", "one", "vi", "Asia/Ho_Chi_Minh",
    )  # fmt: skip
    assert admin.post("/api/accounts", json=body).status_code == 409
    where = f"/api/accounts/{added['public_id']}"
    assert admin.patch(where, json={"name": "Lê Anh", "licence_number": "VN-7"}).json()["name"] == "Lê Anh"
    assert admin.patch(where, json={"reading_policy": "blind"}).status_code == 409
    assert admin.patch(where, json={"site": None}).status_code == 409
    assert admin.patch(where, json={"disabled": True}).json()["disabled_at"] == house.clock()
    assert admin.post(f"{where}/link").status_code == 409
    assert admin.patch(where, json={"disabled": False}).json()["disabled_at"] is None

    assert {one["login"] for one in admin.get("/api/accounts").json()["accounts"]} >= {"le@site.vn"}
    assert [a for a in audited(house) if a.startswith("account")] == [
        "account_added", "account_changed", "account_disabled", "account_enabled",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "bad",
    [
        {"login": "a b"}, {"login": ""}, {"name": " "}, {"role": "gateway"}, {"role": "king"}, {"site": "nowhere"},
        {"role": "site_uploader"}, {"language": "xx"}, {"time_zone": "x"}, {"reading_policy": "blind"}, {"extra": 1},
    ],
)  # fmt: skip
def test_an_account_that_cannot_be_is_refused(house: House, bad: dict[str, object]) -> None:
    admin = house.signed_in()

    answer = admin.post("/api/accounts", json={"login": "x", "name": "X", "role": "auditor", **bad})

    assert answer.status_code in (400, 404, 409)
    assert len(admin.get("/api/accounts").json()["accounts"]) == 1


def test_nobody_locks_themselves_out_or_up(house: House) -> None:
    admin = house.signed_in()
    where = f"/api/accounts/{admin.get('/api/me').json()['public_id']}"

    assert admin.patch(where, json={"disabled": True}).status_code == 409
    assert admin.patch(where, json={"role": "radiologist"}).status_code == 409
    assert admin.patch(where, json={"site": "one"}).status_code == 409


def test_a_sites_administrator_manages_that_site_alone(house: House) -> None:
    own, other = (
        house.new_account(Role.SITE_UPLOADER),
        house.new_account(Role.SITE_UPLOADER, site_id=house.other_site_id),
    )
    admin = house.signed_in(Role.ADMINISTRATOR, site_id=house.site_id)
    ids = {one["login"]: one["public_id"] for one in house.signed_in().get("/api/accounts").json()["accounts"]}

    seen = {one["login"] for one in admin.get("/api/accounts").json()["accounts"]}
    assert seen == {f"person-{own}", login_of(admin)}
    foreign = f"/api/accounts/{ids[f'person-{other}']}"
    assert admin.patch(foreign, json={"name": "X"}).status_code == 404
    assert admin.post(f"{foreign}/link").status_code == 404
    for body in ({"site": "two"}, {"role": "administrator", "site": "two"}):
        new = {"login": "x", "name": "X", "role": "site_uploader", **body}
        assert admin.post("/api/accounts", json=new).status_code == 404
    mine = f"/api/accounts/{ids[f'person-{own}']}"
    assert admin.patch(mine, json={"role": "administrator", "site": None}).json()["site"] == "one"
    assert {one["site"] for one in admin.get("/api/accounts").json()["accounts"]} == {"one"}


def test_a_reset_link_forgets_password_and_codes(house: House) -> None:
    person = house.signed_in(Role.RADIOLOGIST)
    login = login_of(person)
    with_codes(house, person)
    admin = house.signed_in()
    public_id = person.get("/api/me").json()["public_id"]

    link = admin.post(f"/api/accounts/{public_id}/link", json={"reset": True}).json()["link"]

    assert person.get("/api/me").status_code == 401
    assert sign_in(house, login=login, password=PASSWORD).status_code == 401
    back = house.client(**{"X-Pandok": "1"})
    assert back.post("/api/sign-in", json={"token": link.partition("#token=")[2]}).status_code == 204
    assert back.get("/api/me").json()["must"] == ["set_password"]


def test_the_audit_is_read_by_who_may_and_page_by_page(house: House) -> None:
    auditor = house.signed_in(Role.AUDITOR)
    for _ in range(3):
        house.signed_in()

    first = auditor.get("/api/audit", params={"limit": 2}).json()
    rest = auditor.get("/api/audit", params={"after": first["next_after"]}).json()

    ids = [event["id"] for event in first["events"] + rest["events"]]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == len(set(ids)) >= 5
    assert rest["next_after"] is None
    me = auditor.get("/api/me").json()["public_id"]
    mine = auditor.get("/api/audit", params={"actor": me}).json()["events"]
    assert {event["action"] for event in mine} == {"sign_in", "audit_read"}
    assert {event["actor_name"] for event in mine} == {auditor.get("/api/me").json()["name"]}
    assert Permission.READ_AUDIT not in PERMISSIONS[Role.RADIOLOGIST]
