"""What MJML knows (https://documentation.mjml.io, 4.15): which element may stand where, and its attributes.

MRML, which makes the HTML, drops an attribute it does not know without a word, and of an element that it does not expect it
says no more than that something cannot be parsed.
"""

_PADDING = "padding padding-top padding-right padding-bottom padding-left"
_INNER = "inner-padding"
_FONT = "color font-family font-size font-style font-weight letter-spacing line-height text-decoration text-transform"
_BACKGROUND = (
    "background-color background-url background-repeat background-size background-position background-position-x "
    "background-position-y"
)
_BORDER = "border border-top border-right border-bottom border-left border-radius"
_BOX = f"{_BORDER} {_PADDING} background-color direction text-align vertical-align width"
_BLOCK = f"{_PADDING} container-background-color align"
_LINK = "href target rel title name"
_SECTION = f"{_BORDER} {_PADDING} {_BACKGROUND} direction full-width text-align text-padding"
_ICONS = "icon-align icon-wrapped-url icon-wrapped-alt icon-unwrapped-url icon-unwrapped-alt icon-position icon-height icon-width"

_ATTRIBUTES: dict[str, str] = {
    "mjml": "owa lang dir",
    "mj-head": "",
    "mj-body": "background-color width css-class",
    "mj-attributes": "",
    "mj-all": "*",
    "mj-class": "name *",
    "mj-breakpoint": "width",
    "mj-font": "name href",
    "mj-html-attributes": "",
    "mj-include": "path",
    "mj-preview": "",
    "mj-style": "inline",
    "mj-title": "",
    "mj-raw": "position",
    "mj-wrapper": f"{_SECTION} gap",
    "mj-section": _SECTION,
    "mj-group": "width vertical-align background-color direction",
    "mj-column": f"{_BOX} inner-background-color inner-border inner-border-radius inner-border-top inner-border-right "
    "inner-border-bottom inner-border-left",
    "mj-hero": f"{_PADDING} {_BACKGROUND} background-height background-width border-radius height mode vertical-align width "
    f"align container-background-color {_INNER}-top {_INNER}-right {_INNER}-bottom {_INNER}-left {_INNER} "
    "inner-background-color",
    "mj-text": f"{_BLOCK} {_FONT} height vertical-align background-color",
    "mj-button": f"{_BLOCK} {_FONT} {_BORDER} {_LINK} background-color height {_INNER} text-align vertical-align width",
    "mj-image": f"{_BLOCK} {_LINK} {_BORDER} alt fluid-on-mobile font-size height max-height sizes src srcset usemap width",
    "mj-divider": f"{_BLOCK} border-color border-style border-width width",
    "mj-spacer": f"{_BLOCK} {_BORDER} height vertical-align",
    "mj-table": f"{_BLOCK} {_FONT} border cellpadding cellspacing role table-layout text-align vertical-align width",
    "mj-social": f"{_BLOCK} {_FONT} border-radius icon-height icon-padding icon-size {_INNER} mode table-layout text-padding "
    "vertical-align",
    "mj-social-element": f"{_BLOCK} {_FONT} {_LINK} alt background-color border-radius icon-height icon-padding "
    "icon-position icon-size sizes src srcset text-padding vertical-align",
    "mj-navbar": f"{_BLOCK} base-url hamburger ico-align ico-close ico-color ico-font-family ico-font-size "
    "ico-line-height ico-open ico-padding ico-padding-bottom ico-padding-left ico-padding-right ico-padding-top "
    "ico-text-decoration ico-text-transform",
    "mj-navbar-link": f"{_PADDING} {_FONT} {_LINK}",
    "mj-accordion": f"{_PADDING} border container-background-color font-family {_ICONS}",
    "mj-accordion-element": f"background-color border font-family {_ICONS}",
    "mj-accordion-title": f"{_PADDING} background-color color font-family font-size font-weight",
    "mj-accordion-text": f"{_PADDING} background-color color font-family font-size font-weight letter-spacing line-height",
    "mj-carousel": f"{_BLOCK} background-color border-radius icon-width left-icon right-icon tb-border tb-border-radius "
    "tb-hover-border-color tb-selected-border-color tb-width thumbnails",
    "mj-carousel-image": f"alt border-radius {_LINK} src tb-border tb-border-radius thumbnails-src",
}

PICTURES = {
    "mj-social-element": ("src",),
    "mj-accordion": ("icon-wrapped-url", "icon-unwrapped-url"),
    "mj-carousel": ("left-icon", "right-icon"),
}
"""Attributes without which MJML shows pictures of its own, from servers that are no business of a mail's reader."""

_HEADERS = frozenset(
    {
        "mjml", "mj-head", "mj-attributes", "mj-all", "mj-breakpoint", "mj-class", "mj-font", "mj-html-attributes",
        "mj-include", "mj-preview", "mj-raw", "mj-style", "mj-title",
    }
)  # fmt: skip

ATTRIBUTES: dict[str, frozenset[str]] = {
    name: frozenset(attributes.split()) | (frozenset() if name in _HEADERS else {"css-class", "mj-class"})
    for name, attributes in _ATTRIBUTES.items()
}

_HEAD = "mj-attributes mj-breakpoint mj-font mj-preview mj-raw mj-style mj-title"
_BLOCKS = "mj-accordion mj-button mj-carousel mj-divider mj-image mj-navbar mj-raw mj-social mj-spacer mj-table mj-text"
CHILDREN: dict[str, frozenset[str]] = {
    name: frozenset(children.split())
    for name, children in {
        "": "mjml",
        "mjml": "mj-head mj-body",
        "mj-head": _HEAD,
        "mj-body": "mj-section mj-wrapper mj-hero mj-raw",
        "mj-wrapper": "mj-section mj-hero",  # and mj-raw, which MRML puts into a comment for Outlook
        "mj-section": "mj-column mj-group mj-raw",
        "mj-group": "mj-column mj-raw",
        "mj-column": _BLOCKS,
        "mj-hero": _BLOCKS,
        "mj-social": "mj-social-element",
        "mj-navbar": "mj-navbar-link",
        "mj-accordion": "mj-accordion-element",
        "mj-accordion-element": "mj-accordion-title mj-accordion-text",
        "mj-carousel": "mj-carousel-image",
    }.items()
}
"""Which elements may stand in which. ``mj-attributes`` takes any, to set its defaults."""

ENDING = frozenset(
    {
        "mj-accordion-text", "mj-accordion-title", "mj-button", "mj-navbar-link", "mj-preview", "mj-raw",
        "mj-social-element", "mj-style", "mj-table", "mj-text", "mj-title",
    }
)  # fmt: skip
"""Elements that hold HTML and no further MJML."""

MEASURES = frozenset(
    {
        "background-height", "background-width", "border-radius", "border-width", "cellpadding", "cellspacing",
        "fluid-on-mobile", "full-width", "height", "icon-height", "icon-padding", "icon-size", "inline",
        "inner-padding", "mj-class", "mode", "padding", "padding-bottom", "padding-left", "padding-right",
        "padding-top", "path", "position", "tb-width", "text-padding", "thumbnails", "width",
    }
)  # fmt: skip
"""Attributes that the HTML is worked out from, when there is no person yet to fill a variable in."""
