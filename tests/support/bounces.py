"""Mail servers that report: what they hand over is a sample with the token of a mail of ours in it."""

import asyncio
import ssl
from email.message import EmailMessage
from pathlib import Path

from aiosmtplib import SMTP, SMTPResponseException

SAMPLES = Path(__file__).parents[1] / "unit/mailer/notices"
TOKEN = b"TOKENTOKENTOKENTOKENTOKENTOKEN22"


def sample(name: str, token: str = "") -> bytes:
    return (SAMPLES / f"{name}.eml").read_bytes().replace(TOKEN, token.encode())


def token_of(mail: EmailMessage) -> str:
    return str(mail["CFBL-Feedback-ID"])


async def hand_over(port: int, content: bytes, *recipients: str, sender: str = "", trusted: Path | None = None) -> str:
    """What a whole conversation ends with: the reply to the content, or the refusal before it. Over TLS if there is one who is
    ``trusted``."""
    client = SMTP(
        hostname="127.0.0.1",
        port=port,
        timeout=10,
        local_hostname="mx.example.net",
        start_tls=trusted is not None,
        tls_context=ssl.create_default_context(cafile=trusted) if trusted else None,
    )
    await client.connect()
    try:
        await client.mail(sender)
        for recipient in recipients:
            await client.rcpt(recipient)
        reply = await client.data(content)
    except SMTPResponseException as error:
        return f"{error.code} {error.message}"
    finally:
        client.close()
    return f"{reply.code} {reply.message}"


async def talk(port: int, data: bytes) -> bytes:
    """Send the bytes, and read until the other side ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        await asyncio.wait_for(writer.drain(), 10)
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()
