"""The command `sports`: what do pictures show?"""
